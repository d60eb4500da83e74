"""Retention against sparsity: how much of the dense accuracy each score keeps, on source and on transfer targets."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from prunetransfer.analysis.retention import mean_retention, with_sources
from prunetransfer.analysis.roles import ROLES
from prunetransfer.figures import style
from prunetransfer.stages.jobs import STEPS
from prunetransfer.storage.schemas.accuracy import ACCURACY

READS = {"accuracy": ACCURACY}
PANEL_HEIGHT = 2.3  # inches
DRAWN = ("none", STEPS, "finetune")  # methods; the figure `recoveries` has the others too
APART = 2 / 72  # inches between the whiskers of two scores


@style.styled
def draw(accuracy: pd.DataFrame) -> Figure:
    """A row of panels a backbone, source targets left and transfer targets right; a line a score, as masks are made
    (bare, or recovered in steps) and fine-tuned.

    accuracy: a table of schema ACCURACY. A line is the mean over (source, target) pairs and seeds. Whiskers, drawn
    without recovery only, span the pairs from lowest to highest; those of several scores stand side by side.
    """
    frame = with_sources(accuracy)
    frame = frame[frame["method"].isin(DRAWN)]
    means = mean_retention(frame, by=["backbone", "role", "score", "recovery", "sparsity"])
    backbones = sorted(means["backbone"].unique())
    roles = [role for role in ROLES if role in set(means["role"])]
    looks, dashes = style.score_looks(means["score"]), style.recovery_dashes(means["recovery"])
    figure = Figure(figsize=(style.WIDTH, PANEL_HEIGHT * len(backbones) + 0.6), layout="constrained")
    panels = figure.subplots(len(backbones), len(roles), sharex=True, sharey=True, squeeze=False)
    for row, backbone in zip(panels, backbones, strict=True):
        for axes, role in zip(row, roles, strict=True):
            axes.set_title(style.wrap(f"{backbone}: {role} targets", style.WIDTH / len(roles) - 0.5, style.TITLE))
            shown = means[(means["backbone"] == backbone) & (means["role"] == role)]
            style.draw_dense(axes)
            _draw_lines(axes, shown, looks, dashes)
            _draw_whiskers(axes, shown[shown["recovery"] == "none"], looks)
        row[0].set_ylabel("retention")
    for axes in panels[-1]:
        axes.set_xlabel("sparsity")
    panels[0][0].set_ylim(0, max(1.12, 1.03 * means["high"].max()))
    style.legend_below(figure, _legend(looks, dashes))
    return figure


def _draw_lines(axes: Axes, means: pd.DataFrame, looks: dict[str, dict[str, Any]], dashes: dict[str, str]) -> None:
    for (score, recovery), line in means.groupby(["score", "recovery"]):
        line = line.sort_values("sparsity")
        axes.plot(
            line["sparsity"],
            line["retention"],
            linestyle=dashes[recovery],
            label=f"{score}, {recovery}",
            markerfacecolor=_filling(recovery, looks[score]["color"]),
            **looks[score],
        )


def _draw_whiskers(axes: Axes, means: pd.DataFrame, looks: dict[str, dict[str, Any]]) -> None:
    for place, (score, look) in enumerate(looks.items()):
        line = means[means["score"] == score]
        aside = ScaledTranslation(APART * (place - (len(looks) - 1) / 2), 0, axes.get_figure().dpi_scale_trans)
        whiskers = axes.vlines(
            line["sparsity"], line["low"], line["high"], color=look["color"], label=f"{score}, range"
        )
        whiskers.set(linewidth=0.8, alpha=0.6, zorder=1.5, transform=axes.transData + aside)


def _filling(recovery: str, colour: str) -> str:
    return colour if recovery == "none" else "white"


def _legend(looks: dict[str, dict[str, Any]], dashes: dict[str, str]) -> list[Line2D]:
    scores = [Line2D([], [], label=score, **look) for score, look in looks.items()]
    recoveries = []
    for recovery, dash in dashes.items():
        look = {"color": style.GREY, "marker": "o", "markerfacecolor": _filling(recovery, style.GREY)}
        name = "no recovery" if recovery == "none" else recovery
        recoveries.append(Line2D([], [], linestyle=dash, markersize=5, label=name, **look))
    return scores + (recoveries if len(recoveries) > 1 else [])
