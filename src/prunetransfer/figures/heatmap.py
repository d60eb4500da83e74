"""Source × target: the retention of each target after pruning with the data of each source, at one sparsity."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from prunetransfer.analysis.recovered import AS_MADE
from prunetransfer.analysis.retention import at_sparsity, middle_sparsity
from prunetransfer.figures import style
from prunetransfer.storage.schemas.accuracy import ACCURACY

READS = {"accuracy": ACCURACY}
MAX_WIDTH = 12  # inches: three panels of ten targets
CELL_WIDTH, CELL_HEIGHT = 0.33, 0.27  # inches, the least: room for a number
PANEL_WIDTH = 1.5  # inches, the least: room for a title
TITLE_HEIGHT = 0.2  # inches a line
GAP = 0.1  # inches between panels
COLOURS = "cividis"  # from retention 0 to 1; made for the colour-blind


@style.styled
def draw(accuracy: pd.DataFrame, sparsity: float | None = None) -> Figure:
    """A panel a backbone and score, as masks are made; rows are sources, columns targets; a frame: `source`.

    accuracy: a table of schema ACCURACY; seeds are averaged. sparsity: None takes the middle one. A data-free score
    has one value for all sources: its cells are as high as the panel. Raises ValueError if the table has no rows at
    `sparsity`.
    """
    as_made = accuracy[accuracy["recovery"].isin(AS_MADE)]
    sparsity = middle_sparsity(as_made) if sparsity is None else sparsity
    frame = at_sparsity(as_made, sparsity)
    sources = sorted(frame["prune_source"].dropna().unique()) or ["no data"]
    targets = sorted(frame["target"].unique())
    panel_width = max(PANEL_WIDTH, CELL_WIDTH * len(targets))
    margin = style.text_width(sources, style.TICK) + 0.4
    rows = _rows(frame, per_row=max(1, int((MAX_WIDTH - margin) / (panel_width + GAP))))
    titles = {name: style.wrap(": ".join(name), panel_width, style.TITLE) for row in rows for name in row}
    title_lines = sum(max(titles[name].count("\n") + 1 for name in row) for row in rows)
    width = max(map(len, rows)) * (panel_width + GAP) + margin
    height = len(rows) * (CELL_HEIGHT * len(sources) + GAP) + TITLE_HEIGHT * (title_lines + 2)
    figure = Figure(figsize=(width, height + style.text_width(targets, style.TICK) + GAP), layout="constrained")
    figure.suptitle(f"Retention at sparsity {sparsity:g} (framed: the mask saw the target)", fontsize=style.TITLE)
    figure.supxlabel("target", fontsize=style.TEXT)
    figure.supylabel("source", fontsize=style.TEXT)
    panels = figure.subplots(len(rows), max(map(len, rows)), squeeze=False)
    for row, axes_of_row in zip(rows, panels, strict=True):
        for (backbone, score), axes in zip(row, axes_of_row, strict=False):
            axes.set_title(titles[backbone, score])
            panel = frame[(frame["backbone"] == backbone) & (frame["score"] == score)]
            _draw_cells(axes, panel, sources, targets)
    _label(panels, rows, sources, targets, crowded=style.text_width(targets, style.TICK) > panel_width / len(targets))
    return figure


def _label(panels: np.ndarray, rows: list, sources: list[str], targets: list[str], crowded: bool) -> None:
    """Name the sources left of each row and the targets below each column; hide the places without a panel."""
    for row, axes_of_row in zip(rows, panels, strict=True):
        axes_of_row[0].set_yticks(np.arange(len(sources)) + 0.5, sources)
        for axes in axes_of_row[len(row) :]:
            axes.set_axis_off()
    for column, axes_of_column in enumerate(panels.T):
        lowest = max(i for i, row in enumerate(rows) if len(row) > column)
        axes_of_column[lowest].set_xticks(np.arange(len(targets)) + 0.5, targets, rotation=90 if crowded else 0)


def _rows(frame: pd.DataFrame, per_row: int) -> list[list[tuple[str, str]]]:
    """The (backbone, score) of each panel, row by row; every backbone begins a row."""
    rows = []
    for backbone, of_backbone in frame.groupby("backbone"):
        panels = [(backbone, score) for score in sorted(of_backbone["score"].unique())]
        rows += [panels[start : start + per_row] for start in range(0, len(panels), per_row)]
    return rows


def _draw_cells(axes: Axes, panel: pd.DataFrame, sources: list[str], targets: list[str]) -> None:
    """Cell (i, j), source i and target j, is the unit square below and right of (j, i)."""
    values = panel.pivot_table("retention", panel["prune_source"].fillna("any"), "target").reindex(columns=targets)
    if list(values.index) != ["any"]:
        values = values.reindex(sources)
    edges = np.linspace(0, len(sources), len(values) + 1)
    mesh = axes.pcolormesh(np.arange(len(targets) + 1), edges, values, cmap=COLOURS, vmin=0, vmax=1)
    mesh.set(edgecolor="white", linewidth=1)
    axes.set(xlim=(0, len(targets)), ylim=(len(sources), 0), xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    seen = panel[panel["role"] == "source"]
    seen = set(zip(seen["prune_source"], seen["target"], strict=True))
    for source, middle, row in zip(values.index, (edges[:-1] + edges[1:]) / 2, values.to_numpy(), strict=True):
        for j, value in enumerate(row):
            if np.isfinite(value):
                ink = "black" if value > 0.5 else "white"
                axes.text(j + 0.5, middle, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=style.TICK)
            if (source, targets[j]) in seen:
                axes.add_patch(Rectangle((j, middle - 0.5), 1, 1, fill=False, linewidth=1.4, clip_on=False))
