"""Per-layer sparsity: where in the backbone each score takes the weights from, at one sparsity."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from prunetransfer.analysis.retention import at_sparsity, middle_sparsity
from prunetransfer.figures import style
from prunetransfer.storage.schemas.masks import LAYER_SPARSITY

READS = {"layer_sparsity": LAYER_SPARSITY}
PANEL_HEIGHT = 1.8  # inches, without the layers' names
LAYER_WIDTH = 0.14  # inches, the least: room for a name on its side


@style.styled
def draw(layer_sparsity: pd.DataFrame, sparsity: float | None = None) -> Figure:
    """A panel a backbone, its layers in forward order; a line a score, beside the sparsity of the whole backbone.

    layer_sparsity: a table of schema LAYER_SPARSITY; a line is the mean over prune sources and seeds. sparsity: None
    takes the middle one. Raises ValueError if the table has no rows at `sparsity`.
    """
    sparsity = middle_sparsity(layer_sparsity) if sparsity is None else sparsity
    frame = at_sparsity(layer_sparsity, sparsity).assign(name=lambda rows: rows["layer"].str.removesuffix(".weight"))
    backbones = sorted(frame["backbone"].unique())
    looks = style.score_looks(frame["score"])
    names = {backbone: _names(frame[frame["backbone"] == backbone]) for backbone in backbones}
    heights = [PANEL_HEIGHT + style.text_width(names[backbone], style.TICK) for backbone in backbones]
    width = max(style.WIDTH, LAYER_WIDTH * max(map(len, names.values())) + 0.7)
    figure = Figure(figsize=(width, sum(heights) + 0.6), layout="constrained")
    top = 1.06 * max(sparsity, frame["layer_sparsity"].max())
    panels = figure.subplots(len(backbones), squeeze=False, height_ratios=heights)[:, 0]
    for axes, backbone in zip(panels, backbones, strict=True):
        axes.set_title(style.wrap(f"{backbone}: sparsity of each layer at {sparsity:g} overall", width, style.TITLE))
        _draw_lines(axes, frame[frame["backbone"] == backbone], looks)
        axes.axhline(sparsity, color=style.GREY, linewidth=0.8, zorder=1, label="whole backbone")
        axes.set_xticks(range(len(names[backbone])), names[backbone], rotation=90)
        axes.set(ylabel="layer sparsity", ylim=(-0.03 * top, top), xlim=(-0.6, len(names[backbone]) - 0.4))
    handles = [Line2D([], [], label=score, **look) for score, look in looks.items()]
    style.legend_below(figure, [*handles, Line2D([], [], color=style.GREY, linewidth=0.8, label="whole backbone")])
    return figure


def _names(frame: pd.DataFrame) -> list[str]:
    return frame.drop_duplicates("depth").sort_values("depth")["name"].tolist()


def _draw_lines(axes: Axes, frame: pd.DataFrame, looks: dict[str, dict[str, Any]]) -> None:
    means = frame.groupby(["score", "depth"])["layer_sparsity"].mean().unstack("depth")
    for score, line in means.iterrows():
        axes.plot(range(len(line)), line, label=score, linewidth=0.9, **looks[score])
