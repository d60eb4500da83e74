"""The loss on the way from the dense to the pruned weights, on the task that the mask saw and on the others."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from prunetransfer.analysis.roles import ROLES
from prunetransfer.figures import style
from prunetransfer.storage.schemas.landscape import PATHS

READS = {"paths": PATHS}
PANEL_HEIGHT = 2.0  # inches
DASHES = dict(zip(ROLES, style.DASHES, strict=False))


@style.styled
def draw(paths: pd.DataFrame) -> Figure:
    """A row of panels a backbone, a panel a sparsity; a line a score and role, the mean over tasks, sources and seeds.

    paths: a table of schema PATHS. Each loss is over that of the dense weights (t = 0) of its own path. Tasks that no
    mask saw are left out where there are others: so both roles are about the same ones.
    """
    if (seen := paths["role"] == "source").any():
        paths = paths[paths["task"].isin(paths.loc[seen, "task"])]
    of_path = [name for name in paths.columns if name not in ("t", "loss")]
    dense = paths[paths["t"] == 0].rename(columns={"loss": "dense"})[[*of_path, "dense"]]
    frame = paths.merge(dense, on=of_path)
    frame["ratio"] = frame["loss"] / frame["dense"]
    lines = frame.groupby(["backbone", "sparsity", "score", "role", "t"])["ratio"].mean().reset_index()
    backbones, sparsities = (sorted(lines[column].unique()) for column in ("backbone", "sparsity"))
    looks = style.score_looks(lines["score"])
    figure = Figure(figsize=(style.WIDTH, PANEL_HEIGHT * len(backbones) + 0.7), layout="constrained")
    panels = figure.subplots(len(backbones), len(sparsities), sharex=True, squeeze=False)
    for row, backbone in zip(panels, backbones, strict=True):
        for axes, sparsity in zip(row, sparsities, strict=True):
            title = f"{backbone}: sparsity {sparsity:g}"
            axes.set_title(style.wrap(title, style.WIDTH / len(sparsities) - 0.5, style.TITLE))
            _draw_lines(axes, lines[(lines["backbone"] == backbone) & (lines["sparsity"] == sparsity)], looks)
        row[0].set_ylabel("loss / dense loss")
    for axes in panels[-1]:
        axes.set_xlabel("t, from dense (0) to pruned (1)")
    scores = [Line2D([], [], label=score, **look) for score, look in looks.items()]
    roles = [Line2D([], [], color=style.GREY, linestyle=dash, label=role) for role, dash in DASHES.items()]
    style.legend_below(figure, scores + roles)
    return figure


def _draw_lines(axes: Axes, lines: pd.DataFrame, looks: dict) -> None:
    axes.axhline(1, color=style.GREY, linewidth=0.8, zorder=1)
    for (score, role), line in lines.groupby(["score", "role"]):
        filling = looks[score]["color"] if role == "source" else "white"
        axes.plot(line["t"], line["ratio"], linestyle=DASHES[role], markerfacecolor=filling, **looks[score])
