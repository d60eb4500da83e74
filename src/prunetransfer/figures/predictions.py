"""Predicted against measured loss increase: does the curvature at the dense weights predict what pruning does?"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from prunetransfer.figures import style
from prunetransfer.storage.schemas.landscape import PERTURBATIONS

READS = {"perturbations": PERTURBATIONS}
PANEL_HEIGHT = 2.3  # inches
MARGIN = 0.05  # around the points, of their range

# What a panel says of a predictor, and its column.
PREDICTORS = {
    "gᵀδ + ½ δᵀHδ (Hessian)": "second_order",
    "½ δᵀGδ (Gauss–Newton)": "ggn_term",
    "the score's own sum": "predicted",
}


@style.styled
def draw(perturbations: pd.DataFrame) -> Figure:
    """A row of panels a backbone, a panel a predictor, logarithmic; a point a task, mask and seed.

    perturbations: a table of schema PERTURBATIONS. Filled where the mask saw the task, else hollow.
    """
    backbones = sorted(perturbations["backbone"].unique())
    looks = style.score_looks(perturbations["score"])
    figure = Figure(figsize=(style.WIDTH, PANEL_HEIGHT * len(backbones) + 0.7), layout="constrained")
    panels = figure.subplots(len(backbones), len(PREDICTORS), sharex="row", sharey="row", squeeze=False)
    for row, backbone in zip(panels, backbones, strict=True):
        rows = perturbations[perturbations["backbone"] == backbone]
        for axes, (name, column) in zip(row, PREDICTORS.items(), strict=True):
            axes.set_title(style.wrap(f"{backbone}: {name}", style.WIDTH / len(PREDICTORS) - 0.3, style.TITLE))
            _draw_points(axes, rows.assign(x=rows[column]), looks)
        _make_square(row)
        row[0].set_ylabel("measured loss increase")
    for axes in panels[-1]:
        axes.set_xlabel("predicted")
    style.legend_below(figure, _legend(looks))
    return figure


def _draw_points(axes: Axes, rows: pd.DataFrame, looks: dict) -> None:
    axes.set(xscale="log", yscale="log")
    shown = rows[(rows["x"] > 0) & (rows["measured"] > 0)]
    for (score, role), points in shown.groupby(["score", "role"]):
        filling = looks[score]["color"] if role == "source" else "white"
        axes.plot(points["x"], points["measured"], linestyle="", markerfacecolor=filling, **looks[score])
    missing = int(rows["x"].notna().sum()) - len(shown)
    if missing:
        text = f"{missing} not above 0"
        axes.text(0.97, 0.03, text, transform=axes.transAxes, ha="right", color=style.GREY, fontsize=style.TICK)


def _make_square(row: list[Axes]) -> None:
    """The same limits on both axes of all panels of a row, and the line on which prediction and measurement agree."""
    points = [values for axes in row for line in axes.lines for values in (line.get_xdata(), line.get_ydata())]
    if not points:
        return
    low, high = min(map(min, points)), max(map(max, points))
    margin = 1.2 * (high / low) ** MARGIN
    low, high = low / margin, high * margin
    for axes in row:
        axes.set(xlim=(low, high), ylim=(low, high))
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.yaxis.set_major_locator(LogLocator(numticks=7))
        axes.axline((low, low), (high, high), color=style.GREY, linewidth=0.8, zorder=1)


def _legend(looks: dict) -> list[Line2D]:
    scores = [Line2D([], [], linestyle="", label=score, **look) for score, look in looks.items()]
    round_one = {"linestyle": "", "marker": "o", "color": style.GREY, "markersize": 5}
    roles = [
        Line2D([], [], label=label, markerfacecolor=filling, **round_one)
        for label, filling in (("source task", style.GREY), ("transfer task", "white"))
    ]
    return [*scores, *roles, Line2D([], [], color=style.GREY, linewidth=0.8, label="equal")]
