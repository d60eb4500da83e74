"""Which pre-training prunes best: retention against sparsity, a line a pre-training of one architecture."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from prunetransfer.figures import style
from prunetransfer.report.findings import told_role
from prunetransfer.report.pretrainings import labels
from prunetransfer.storage.schemas.pretrainings import PRETRAININGS

READS = {"pretrainings": PRETRAININGS}
PANEL_HEIGHT = 2.0  # inches


@style.styled
def draw(pretrainings: pd.DataFrame) -> Figure:
    """A row of panels an architecture, a panel a score; transfer targets, or source targets in a study without any.

    pretrainings: a table of schema PRETRAININGS. Bands are its intervals.
    """
    rows = told_role(pretrainings[pretrainings["sparsity"].notna()])
    rows = pd.concat([own.assign(label=own["backbone"].map(labels(own))) for _, own in rows.groupby("group")])
    groups, scores = (sorted(rows[column].unique()) for column in ("group", "score"))
    looks = style.plain_looks(rows["label"])
    figure = Figure(figsize=(style.WIDTH, PANEL_HEIGHT * len(groups) + 0.8), layout="constrained")
    figure.suptitle(
        f"Retention of {rows['role'].iloc[0]} targets by pre-training, without recovery", fontsize=style.TITLE
    )
    panels = figure.subplots(len(groups), len(scores), sharex=True, sharey=True, squeeze=False)
    for row, group in zip(panels, groups, strict=True):
        for axes, score in zip(row, scores, strict=True):
            axes.set_title(style.wrap(f"{group}: {score}", style.WIDTH / len(scores) - 0.4, style.TITLE))
            style.draw_dense(axes)
            of_panel = rows[(rows["group"] == group) & (rows["score"] == score)].sort_values("sparsity")
            for label, line in of_panel.groupby("label"):
                axes.plot(line["sparsity"], line["retention"], label=label, **looks[label])
                colour = looks[label]["color"]
                axes.fill_between(line["sparsity"], line["low"], line["high"], color=colour, alpha=0.2, linewidth=0)
        row[0].set_ylabel("retention")
    for axes in panels[-1]:
        axes.set_xlabel("sparsity")
    panels[0][0].set_ylim(0, max(1.12, 1.03 * rows["high"].max()))
    style.legend_below(figure, [Line2D([], [], label=label, **look) for label, look in looks.items()])
    return figure
