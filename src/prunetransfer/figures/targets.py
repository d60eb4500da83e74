"""What recoveries give back to each target, at one sparsity: its retention, bare and after every recovery."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from prunetransfer.analysis.retention import at_sparsity, mean_retention, middle_sparsity, with_sources
from prunetransfer.figures import style
from prunetransfer.report.findings import told_role
from prunetransfer.storage.schemas.accuracy import ACCURACY

READS = {"accuracy": ACCURACY}
APART = 0.11  # inches between two recoveries of a target
GAP = 0.14  # inches between two targets


@style.styled
def draw(accuracy: pd.DataFrame, sparsity: float | None = None) -> Figure:
    """A row of panels a backbone, a panel a score; a group of points a transfer target (source target without any).

    accuracy: a table of schema ACCURACY. A point is the mean over sources and seeds, its whisker spans the sources.
    sparsity: None takes the one that most recoveries were tried at, the middle one of several. Raises ValueError if the
    table has no rows at `sparsity`.
    """
    frame = told_role(with_sources(accuracy))
    frame = at_sparsity(frame, _most_tried(frame) if sparsity is None else sparsity)
    means = mean_retention(frame, by=["backbone", "score", "recovery", "target"])
    backbones, scores, targets = (sorted(means[column].unique()) for column in ("backbone", "score", "target"))
    looks = style.recovery_looks(means["recovery"])
    height = len(targets) * (APART * len(looks) + GAP)
    figure = Figure(figsize=(style.WIDTH, len(backbones) * (height + 0.45) + 0.9), layout="constrained")
    title = f"Retention of {frame['role'].iloc[0]} targets at sparsity {frame['sparsity'].iloc[0]:g}"
    figure.suptitle(title, fontsize=style.TITLE)
    panels = figure.subplots(len(backbones), len(scores), sharex=True, sharey=True, squeeze=False)
    for row, backbone in zip(panels, backbones, strict=True):
        for axes, score in zip(row, scores, strict=True):
            axes.set_title(style.wrap(f"{backbone}: {score}", style.WIDTH / len(scores) - 0.4, style.TITLE))
            axes.axvline(1, color=style.GREY, linewidth=0.8, zorder=1)
            _draw_points(axes, means[(means["backbone"] == backbone) & (means["score"] == score)], targets, looks)
    panels[0][0].set_yticks(range(len(targets)), targets)
    panels[0][0].set(xlim=(0, max(1.1, 1.03 * means["high"].max())), ylim=(len(targets) - 0.5, -0.5))
    for axes in panels[-1]:
        axes.set_xlabel("retention")
    named = {"none": "no recovery"}
    handles = [Line2D([], [], label=named.get(name, name), linestyle="", **look) for name, look in looks.items()]
    style.legend_below(figure, [*handles, Line2D([], [], color=style.GREY, linewidth=0.8, label="dense")])
    return figure


def _most_tried(frame: pd.DataFrame) -> float:
    tried = frame.drop_duplicates(["backbone", "score", "recovery", "sparsity"])["sparsity"]
    counts = tried.value_counts()
    return middle_sparsity(frame[frame["sparsity"].isin(counts.index[counts == counts.max()])])


def _draw_points(axes: Axes, means: pd.DataFrame, targets: list[str], looks: dict) -> None:
    """A recovery below the other around the target's tick, without recovery first."""
    share = APART * len(looks) / (APART * len(looks) + GAP)
    places = (np.arange(len(looks)) + 0.5) / len(looks) * share - share / 2
    for place, (recovery, look) in zip(places, looks.items(), strict=True):
        shown = means[means["recovery"] == recovery]
        y = np.array([targets.index(target) for target in shown["target"]]) + place
        axes.plot(shown["retention"], y, label=recovery, linestyle="", **look)
        axes.hlines(y, shown["low"], shown["high"], color=look["color"], linewidth=0.8)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
