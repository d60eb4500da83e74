"""How far to prune: at every sparsity tried, what the worst task loses, and whether that is shown to be safe."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from prunetransfer.analysis.retention import with_sources
from prunetransfer.figures import style
from prunetransfer.report.answer import WHOSE, least_safe
from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.schemas.safe import PREDICTED_SAFE, SAFE_SPARSITY

READS = {"safe_sparsity": SAFE_SPARSITY, "accuracy": ACCURACY, "predicted_safe": PREDICTED_SAFE}
CELL_WIDTH, CELL_HEIGHT = 0.42, 0.21  # inches, the least: room for a number
TITLE_HEIGHT = 0.35  # inches
SHOWN, KEPT, LOST = "#0072B2", "#9CCBE8", "#F0F0F0"  # of one hue, dark to light: told apart in grey too
ROUNDING = 1e-9


@style.styled
def draw(safe_sparsity: pd.DataFrame, accuracy: pd.DataFrame, predicted_safe: pd.DataFrame) -> Figure:
    """A panel a backbone and role, a row a score and recovery, a cell a sparsity that was tried.

    safe_sparsity, accuracy, predicted_safe: tables of the schemas of these names. A cell has the accuracy lost on the
    worst (source, target, seed), in percentage points. It is dark up to the least safe sparsity of them, light where no
    more than α was lost on the test images without that being shown. The bar is the least sparsity that the score
    itself predicts; a data-free score predicts no loss.
    """
    alpha, delta = safe_sparsity["alpha"].iloc[0], safe_sparsity["delta"].iloc[0]
    worst = _worst_losses(accuracy)
    shown = pd.concat([least_safe(safe_sparsity, role).assign(role=role) for role in WHOSE])
    backbones, sparsities = (sorted(worst[column].unique()) for column in ("backbone", "sparsity"))
    roles = [role for role in WHOSE if role in set(worst["role"])]
    lines = {role: sorted(set(worst.loc[worst["role"] == role, "line"]), key=_order) for role in roles}
    predicted = _predicted(predicted_safe)

    margin = style.text_width((" + ".join(name) for of_role in lines.values() for name in of_role), style.TICK) + 0.3
    heights = [CELL_HEIGHT * len(lines[role]) for role in roles]
    width = max(style.WIDTH, margin + len(backbones) * (CELL_WIDTH * len(sparsities) + 0.2))
    figure = Figure(figsize=(width, sum(heights) + TITLE_HEIGHT * len(roles) + 1.3), layout="constrained")
    figure.suptitle("Accuracy lost on the worst task, in percentage points", fontsize=style.TITLE)
    panels = figure.subplots(len(roles), len(backbones), squeeze=False, height_ratios=heights, sharex=True)
    for row, role in zip(panels, roles, strict=True):
        for axes, backbone in zip(row, backbones, strict=True):
            axes.set_title(style.wrap(f"{backbone}: {WHOSE[role]}", (width - margin) / len(backbones), style.TITLE))
            of_panel = [frame[(frame["backbone"] == backbone) & (frame["role"] == role)] for frame in (worst, shown)]
            _draw_cells(axes, *of_panel, lines[role], sparsities, alpha)
            _draw_predictions(axes, predicted.get((backbone, role), {}), lines[role], sparsities)
        row[0].set_yticks(np.arange(len(lines[role])) + 0.5, [_name(line) for line in lines[role]])
    for axes in panels[-1]:
        axes.set_xticks(np.arange(len(sparsities)) + 0.5, [f"{sparsity:g}" for sparsity in sparsities])
        axes.set_xlabel("sparsity")
    bar = Line2D([], [], color="black", marker="|", markersize=9, markeredgewidth=2, linestyle="")
    bar.set_label("safe up to here by the score alone")
    cells = {f"shown to lose at most {100 * alpha:g} percentage points, at risk {delta:g}": SHOWN}
    cells |= {"loses no more, not shown": KEPT, "loses more": LOST}
    style.legend_below(figure, [*(Patch(color=colour, label=label) for label, colour in cells.items()), bar])
    return figure


def _worst_losses(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Columns backbone, role, line (score, recovery), sparsity, and the most accuracy lost over sources and targets."""
    frame = with_sources(accuracy)
    frame = frame.assign(lost=frame["dense_top1"] - frame["top1"])
    worst = frame.groupby(["backbone", "role", "score", "recovery", "sparsity"])["lost"].max().reset_index()
    return worst.assign(line=list(zip(worst["score"], worst["recovery"], strict=True)))


def _predicted(predicted_safe: pd.DataFrame) -> dict[tuple[str, str], dict[str, float]]:
    """(backbone, role) → score → the least sparsity that it predicts to be safe; without data-free scores."""
    from_data = predicted_safe[predicted_safe["prune_source"].notna()]
    return {
        panel: rows.groupby("score")["predicted_sparsity"].min().to_dict()
        for panel, rows in from_data.groupby(["backbone", "role"])
    }


def _draw_cells(
    axes: Axes, worst: pd.DataFrame, shown: pd.DataFrame, lines: list, sparsities: list[float], alpha: float
) -> None:
    """Row by row from the top; a sparsity at which a recovery was not tried has no cell."""
    safe = shown.set_index(["score", "recovery"])["safe_sparsity"]
    axes.set(xlim=(0, len(sparsities)), ylim=(len(lines), 0), xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for row in worst.itertuples():
        x, y = sparsities.index(row.sparsity), lines.index(row.line)
        colour = SHOWN if row.sparsity <= safe.get(row.line, 0.0) else KEPT if row.lost <= alpha + ROUNDING else LOST
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white", linewidth=1))
        ink = "white" if colour == SHOWN else "black"
        text = f"{100 * row.lost:.0f}" if row.lost > 0.0005 else "0"
        axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", color=ink, fontsize=style.TICK)


def _draw_predictions(axes: Axes, predicted: dict[str, float], lines: list, sparsities: list[float]) -> None:
    for y, (score, recovery) in enumerate(lines):
        if recovery == "none" and score in predicted:
            x = sum(sparsity <= predicted[score] for sparsity in sparsities)
            axes.vlines(x, y + 0.06, y + 0.94, color="black", linewidth=2, clip_on=False, zorder=3)


def _order(line: tuple[str, str]) -> tuple[str, bool, str]:
    score, recovery = line
    return score, recovery != "none", recovery


def _name(line: tuple[str, str]) -> str:
    score, recovery = line
    return score if recovery == "none" else f"{score} + {recovery}"
