"""What recoveries give back: retention of transfer targets against sparsity, a line a recovery."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from prunetransfer.analysis.retention import mean_retention, with_sources
from prunetransfer.figures import style
from prunetransfer.storage.schemas.accuracy import ACCURACY

READS = {"accuracy": ACCURACY}
PANEL_HEIGHT = 1.9  # inches


@style.styled
def draw(accuracy: pd.DataFrame) -> Figure:
    """A row of panels a backbone, a panel a score; transfer targets, or source targets in a study without any.

    accuracy: a table of schema ACCURACY. A line is the mean over (source, target) pairs and seeds.
    """
    frame = with_sources(accuracy)
    role = "transfer" if "transfer" in set(frame["role"]) else "source"
    means = mean_retention(frame[frame["role"] == role], by=["backbone", "score", "recovery", "sparsity"])
    backbones, scores = (sorted(means[column].unique()) for column in ("backbone", "score"))
    looks = style.recovery_looks(means["recovery"])
    figure = Figure(figsize=(style.WIDTH, PANEL_HEIGHT * len(backbones) + 0.8), layout="constrained")
    figure.suptitle(f"Retention of {role} targets", fontsize=style.TITLE)
    panels = figure.subplots(len(backbones), len(scores), sharex=True, sharey=True, squeeze=False)
    for row, backbone in zip(panels, backbones, strict=True):
        for axes, score in zip(row, scores, strict=True):
            axes.set_title(style.wrap(f"{backbone}: {score}", style.WIDTH / len(scores) - 0.4, style.TITLE))
            style.draw_dense(axes)
            shown = means[(means["backbone"] == backbone) & (means["score"] == score)]
            for recovery, line in shown.groupby("recovery"):
                line = line.sort_values("sparsity")
                above = 2 if recovery == "none" else 3  # what is gained lies on what it is gained from
                axes.plot(line["sparsity"], line["retention"], label=recovery, zorder=above, **looks[recovery])
        row[0].set_ylabel("retention")
    for axes in panels[-1]:
        axes.set_xlabel("sparsity")
    panels[0][0].set_ylim(0, max(1.1, 1.03 * means["retention"].max()))
    named = {"none": "no recovery"}
    style.legend_below(figure, [Line2D([], [], label=named.get(name, name), **look) for name, look in looks.items()])
    return figure
