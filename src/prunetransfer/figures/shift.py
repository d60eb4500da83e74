"""Retention under shift: does pruning cost more where the test images are corrupted?"""

from __future__ import annotations

import math

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from prunetransfer.analysis.retention import shown
from prunetransfer.figures import style
from prunetransfer.report.findings import told_role
from prunetransfer.storage.schemas.shift import SHIFT

READS = {"shift": SHIFT}
PER_ROW = 4  # panels
PANEL_HEIGHT = 1.7  # inches
SHADES = matplotlib.colormaps["cividis_r"]  # light to dark: weak to strong; made for the colour-blind
STRONGEST = 5  # severity


@style.styled
def draw(shift: pd.DataFrame) -> Figure:
    """Panels of a backbone and a kind of condition: retention against sparsity, without recovery; clean images black.

    shift: a table of schema SHIFT. Lines are means over the (source, target) pairs of unseen tasks, of the source in a
    study without any, for the score that keeps most of the backbone's clean accuracy. Retention is relative to the
    dense backbone under the same condition.
    """
    means = told_role(shown(shift[shift["target"].isna() & (shift["recovery"] == "none")]))
    if means.empty:
        return style.empty("Nothing to show: no mask without recovery was measured under a condition.")
    means = means.assign(kind=[_kind(row) for row in means.itertuples()])
    kept = {name: _most_kept(rows) for name, rows in means.groupby("backbone")}
    panels = [(name, kind) for name in kept for kind in sorted(set(means.loc[means["backbone"] == name, "kind"]))]
    columns = min(PER_ROW, len(panels))
    rows = math.ceil(len(panels) / columns)
    looks = _looks(means)
    figure = Figure(figsize=(style.WIDTH, PANEL_HEIGHT * rows + 0.9), layout="constrained")
    where = "unseen tasks" if means["role"].iloc[0] == "transfer" else "the source"
    figure.suptitle(f"Retention on {where}, each condition beside clean images", fontsize=style.TITLE)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, (backbone, kind) in zip(grid.flat, panels, strict=False):
        score = kept[backbone]
        axes.set_title(style.wrap(f"{backbone}, {score}: {kind}", style.WIDTH / columns - 0.3, style.TITLE))
        of_panel = means["backbone"].eq(backbone) & means["kind"].eq(kind) & means["score"].eq(score)
        _draw_panel(axes, means[of_panel], looks)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for row in grid:
        row[0].set_ylabel("retention")
    for place in range(columns):
        lowest = grid[(len(panels) - 1 - place) // columns][place]
        lowest.set_xlabel("sparsity")
        lowest.tick_params(labelbottom=True)
    grid[0][0].set_ylim(0, max(1.12, 1.03 * means[["retention", "shifted_retention"]].max(axis=None)))
    handles = [Line2D([], [], color="black", linestyle="--", marker="o", markersize=4, label="clean images")]
    style.legend_below(figure, handles + [Line2D([], [], label=label, **look) for label, look in looks.items()])
    return figure


def _draw_panel(axes: Axes, means: pd.DataFrame, looks: dict[str, dict]) -> None:
    style.draw_dense(axes)
    clean = means.groupby("sparsity")["retention"].mean()
    axes.plot(clean.index, clean, color="black", linestyle="--", marker="o", markersize=4, label="clean images")
    for condition, line in means.sort_values("sparsity").groupby("condition"):
        label = _label(line.iloc[0])
        axes.plot(line["sparsity"], line["shifted_retention"], **looks[label], label=condition)


def _most_kept(means: pd.DataFrame) -> str:
    """The score of the highest mean clean retention; of equals the first by name."""
    return means.groupby("score")["retention"].mean().idxmax()


def _looks(means: pd.DataFrame) -> dict[str, dict]:
    """Label of the legend → how its lines look: severities by shade, other conditions by colour."""
    severities = sorted(means["severity"].dropna().unique())
    looks = {
        _severity(severity): {"color": SHADES(0.15 + 0.85 * severity / STRONGEST), "marker": "s", "markersize": 3.5}
        for severity in severities
    }
    return looks | style.plain_looks(means.loc[means["severity"].isna(), "condition"])


def _kind(row) -> str:
    """The condition without its strength: the corruption of `fog 3`, the `resolution` of `resolution 16`."""
    return row.condition.split()[0] if "," not in row.condition else "several"


def _label(row: pd.Series) -> str:
    return row["condition"] if pd.isna(row["severity"]) else _severity(row["severity"])


def _severity(severity: float) -> str:
    return f"severity {severity:g}"
