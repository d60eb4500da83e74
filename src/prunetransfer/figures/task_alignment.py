"""How far the tasks of a backbone agree in their curvature: subspaces above the diagonal, diagonals of G below."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prunetransfer.figures import style
from prunetransfer.storage.schemas.landscape import ALIGNMENT

READS = {"alignment": ALIGNMENT}
CELL = 0.42  # inches: room for a number
COLOURS = "cividis"  # from 0 to 1; made for the colour-blind


@style.styled
def draw(alignment: pd.DataFrame) -> Figure:
    """A panel a backbone; the cell of two tasks has `subspace_overlap` above and `diagonal_correlation` below.

    alignment: a table of schema ALIGNMENT, of which the rows between tasks are shown, averaged over seeds.
    """
    pairs = alignment[alignment["between"] == "tasks"]
    tasks = sorted({*pairs["task"], *pairs["other_task"]})
    backbones = sorted(pairs["backbone"].unique())
    margin = style.text_width(tasks or ["-"], style.TICK) + 0.3
    side = max(CELL * len(tasks), 1.6)
    columns = max(1, min(len(backbones), int((12 - margin) / (side + 0.2))))
    rows = max(1, -(-len(backbones) // columns))
    width = columns * (side + 0.2) + margin
    title = style.wrap("Above: overlap of top eigenvectors. Below: rank correlation of diagonals", width, style.TITLE)
    height = rows * (side + 0.3) + margin + 0.2 * len(title.splitlines())
    figure = Figure(figsize=(width, height), layout="compressed")
    figure.suptitle(title, fontsize=style.TITLE)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(backbones) :]:
        axes.set_axis_off()
    for place, (axes, backbone) in enumerate(zip(panels, backbones, strict=False)):
        axes.set_title(style.wrap(backbone, side, style.TITLE))
        _draw_cells(axes, pairs[pairs["backbone"] == backbone], tasks)
        axes.set_xticks(np.arange(len(tasks)) + 0.5, tasks, rotation=90)
        if place % columns == 0:
            axes.set_yticks(np.arange(len(tasks)) + 0.5, tasks)
    return figure


def _draw_cells(axes: Axes, pairs: pd.DataFrame, tasks: list[str]) -> None:
    values = np.full((len(tasks), len(tasks)), np.nan)
    means = pairs.groupby(["task", "other_task"])[["subspace_overlap", "diagonal_correlation"]].mean()
    for (task, other), mean in means.iterrows():
        above, below = sorted((tasks.index(task), tasks.index(other)))
        values[above, below], values[below, above] = mean
    mesh = axes.pcolormesh(values, cmap=COLOURS, vmin=0, vmax=1)
    mesh.set(edgecolor="white", linewidth=1)
    axes.set(ylim=(len(tasks), 0), xticks=[], yticks=[], aspect="equal")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            ink = "black" if value > 0.5 else "white"
            axes.text(j + 0.5, i + 0.5, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=style.TICK)
