"""How well the features of networks in pre-training tell the classes of held-out images apart, epoch by epoch."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prunetransfer.figures import style
from prunetransfer.storage.schemas.training import PRETRAINING

READS = {"pretraining": PRETRAINING}
READERS = {"knn_top1": "20 nearest neighbours", "ridge_top1": "ridge head"}


@style.styled
def draw(pretraining: pd.DataFrame) -> Figure:
    """A panel for each way of reading the features, a line a backbone. pretraining: a table of schema PRETRAINING."""
    looks = style.plain_looks(pretraining["backbone"])
    figure = Figure(figsize=(style.WIDTH, 2.9), layout="constrained")
    panels = figure.subplots(1, len(READERS), sharey=True)
    for axes, (column, title) in zip(panels, READERS.items(), strict=True):
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for name, line in pretraining.sort_values("epoch").groupby("backbone"):
            axes.plot(line["epoch"], line[column], label=name, **looks[name])
    panels[0].set_ylabel("accuracy on held-out images")
    panels[0].set_ylim(0, 1)
    style.legend_below(figure, panels[0].get_lines())
    return figure
