"""What the time that is saved costs: retention of transfer targets against speed-up, a line a mask and recovery."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from prunetransfer.analysis.retention import mean_retention, with_sources
from prunetransfer.figures import style
from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.schemas.efficiency import EFFICIENCY

READS = {"efficiency": EFFICIENCY, "accuracy": ACCURACY}
EVERY = ("mask",)  # other figures are about masks of one kind
Looks = dict[str, dict[str, Any]]
PANEL_HEIGHT = 2.3  # inches
LEAST_RANGE = 0.9, 1.5  # of speed-ups: where all are about 1, their noise is not blown up
NOTHING = "Nothing to show: on the backbones and scores whose time was measured, no target has anything to retain."


@style.styled
def draw(efficiency: pd.DataFrame, accuracy: pd.DataFrame) -> Figure:
    """A row of panels a backbone, a panel a score; transfer targets, or source targets in a study without any.

    efficiency, accuracy: tables of the schemas of these names. A point is a sparsity: its retention is the mean over
    (source, target) pairs and seeds, its speed-up that of the largest batch, the mean over sources. A line joins the
    points of growing sparsity. What was not measured in both tables is left out.
    """
    role = "transfer" if "transfer" in set(accuracy["role"]) else "source"
    if accuracy.empty or (points := _points(efficiency, accuracy, role)).empty:
        return style.empty(NOTHING)
    backbones, scores = (sorted(points[column].unique()) for column in ("backbone", "score"))
    looks, dashes = style.plain_looks(points["mask"]), style.recovery_dashes(points["recovery"])
    figure = Figure(figsize=(style.WIDTH, PANEL_HEIGHT * len(backbones) + 0.8), layout="constrained")
    batch = efficiency["batch_size"].max()
    figure.suptitle(f"Retention of {role} targets and speed-up, batches of {batch}", fontsize=style.TITLE)
    panels = figure.subplots(len(backbones), len(scores), sharex=True, sharey=True, squeeze=False)
    for row, backbone in zip(panels, backbones, strict=True):
        for axes, score in zip(row, scores, strict=True):
            axes.set_title(style.wrap(f"{backbone}: {score}", style.WIDTH / len(scores) - 0.4, style.TITLE))
            style.draw_dense(axes)
            axes.axvline(1, color=style.GREY, linewidth=0.8, zorder=1)
            _draw_lines(axes, points[(points["backbone"] == backbone) & (points["score"] == score)], looks, dashes)
        row[0].set_ylabel("retention")
    for axes in panels[-1]:
        axes.set_xlabel("speed-up")
    low, high = points["speed_up"].min(), points["speed_up"].max()
    panels[0][0].set_xlim(min(LEAST_RANGE[0], low - 0.05), max(LEAST_RANGE[1], 1.03 * high))
    panels[0][0].set_ylim(0, max(1.1, 1.03 * points["retention"].max()))
    style.legend_below(figure, _legend(looks, dashes))
    return figure


def _points(efficiency: pd.DataFrame, accuracy: pd.DataFrame, role: str) -> pd.DataFrame:
    """Columns backbone, score, "mask", sparsity, recovery, retention, speed_up."""
    of_point = ["backbone", "score", "mask", "sparsity"]
    # Means over masks of several kinds would mean nothing: each kind is averaged on its own.
    kinds = [with_sources(rows) for _, rows in accuracy.groupby("mask")]
    frame = pd.concat(kinds, ignore_index=True)
    kept = mean_retention(frame[frame["role"] == role], by=[*of_point, "recovery"])
    largest = efficiency[efficiency["batch_size"] == efficiency["batch_size"].max()]
    return kept.merge(largest.groupby(of_point)["speed_up"].mean().reset_index(), on=of_point)


def _draw_lines(axes: Axes, points: pd.DataFrame, looks: Looks, dashes: dict[str, str]) -> None:
    for (mask, recovery), line in points.groupby(["mask", "recovery"]):
        line = line.sort_values("sparsity")
        colour = looks[mask]["color"]
        above = 2 + 1 / len(line)  # the single sparsity of a mask lies on the lines of others
        axes.plot(
            line["speed_up"],
            line["retention"],
            linestyle=dashes[recovery],
            label=f"{mask}, {recovery}",
            zorder=above,
            markerfacecolor=_filling(recovery, colour),
            **looks[mask],
        )


def _filling(recovery: str, colour: str) -> str:
    return "white" if recovery == "none" else colour


def _legend(looks: Looks, dashes: dict[str, str]) -> list[Line2D]:
    masks = [Line2D([], [], label=mask, **look) for mask, look in looks.items()]
    recoveries = []
    for recovery, dash in dashes.items():
        look = {"color": style.GREY, "marker": "o", "markersize": 4, "markerfacecolor": _filling(recovery, style.GREY)}
        name = "no recovery" if recovery == "none" else recovery
        recoveries.append(Line2D([], [], linestyle=dash, label=name, **look))
    return masks + (recoveries if len(recoveries) > 1 else [])
