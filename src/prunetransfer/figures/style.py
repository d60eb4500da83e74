"""What the figures share: fonts, colours, a legend, and files that are the same bytes whenever the data are."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prunetransfer.storage.artifacts import write_atomically

WIDTH = 7.2  # inches: a text page
DPI = 200
GREY = "0.4"
TEXT, TITLE, TICK = 8, 9, 7  # points
CHARACTER = 0.62 / 72  # inches a point of size: the width of a character of DejaVu Sans, on average
RC = {
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
    "axes.titlesize": TITLE,
    "axes.titlelocation": "left",
    "axes.labelsize": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.6,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "xtick.labelsize": TICK,
    "ytick.labelsize": TICK,
    "legend.fontsize": TEXT,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.facecolor": "white",
    "svg.hashsalt": "prunetransfer",
}
styled = matplotlib.rc_context(RC)  # as a decorator: draw like this, whatever the caller's Matplotlib is set to

# The palette of Okabe and Ito, told apart by the colour-blind; grey takes the place of its yellow, faint on white.
LOOKS = {"magnitude": ("#0072B2", "o"), "diagonal": ("#D55E00", "s"), "block": ("#009E73", "^")}
COLOURS = ("#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
MARKERS = ("D", "v", "P", "X", "*")
MARKER_SIZES = 7.0, 4.0  # points, of the first score and the last
DASHES = ("-", "--", ":", "-.")


def score_looks(scores: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker of each score, alphabetically: fixed for those of the paper, the next free ones for others.

    Markers shrink from score to score: where lines coincide, those drawn first look out from under the last.
    """
    ordered = sorted(set(scores))
    others = [score for score in ordered if score not in LOOKS]
    looks = LOOKS | {score: (COLOURS[i % 5], MARKERS[(i + i // 5) % 5]) for i, score in enumerate(others)}
    sizes = np.linspace(*MARKER_SIZES, len(ordered))
    return {
        score: {"color": looks[score][0], "marker": looks[score][1], "markersize": size}
        for score, size in zip(ordered, sizes, strict=True)
    }


def recovery_dashes(recoveries: Iterable[str]) -> dict[str, str]:
    """Line style of each recovery: solid for `none`, then the others alphabetically."""
    others = sorted(set(recoveries) - {"none"})
    return {recovery: DASHES[i % len(DASHES)] for i, recovery in enumerate(["none", *others])}


def recovery_looks(recoveries: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker of each recovery where it alone is told apart: black for `none`, then the others."""
    return {"none": {"color": "black", "marker": "o", "markersize": 4.5}} | plain_looks(set(recoveries) - {"none"})


def plain_looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker of each name, alphabetically: six colours, five markers."""
    colours = ("#0072B2", "#D55E00", "#009E73", *COLOURS[:3])
    return {
        name: {"color": colours[i % len(colours)], "marker": MARKERS[i % len(MARKERS)], "markersize": 4.5}
        for i, name in enumerate(sorted(set(names)))
    }


def draw_dense(axes: Axes) -> None:
    """A line at retention 1, with its name."""
    axes.axhline(1, color=GREY, linewidth=0.8, zorder=1, label="dense")
    edge = axes.get_yaxis_transform()
    axes.annotate("dense", (1, 1), (-2, 1.5), edge, "offset points", ha="right", color=GREY, fontsize=TICK)


def text_width(texts: Iterable[str], size: float) -> float:
    """About how many inches the longest text takes at `size` points."""
    return CHARACTER * size * max(map(len, texts))


def wrap(text: str, width: float, size: float) -> str:
    """The text in lines of at most about `width` inches at `size` points, cut within a word where it must be."""
    return textwrap.fill(text, max(8, int(width / (CHARACTER * size))))


def legend_below(figure: Figure, handles: Sequence[Artist]) -> None:
    """One legend for all panels, in as many columns as the figure is wide."""
    entry = text_width([handle.get_label() for handle in handles], TEXT) + 0.6  # the line in front, the gap behind
    columns = max(1, int(figure.get_figwidth() / entry))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles)), handlelength=2.8)


@styled
def empty(text: str) -> Figure:
    """A figure that says why it shows nothing."""
    figure = Figure(figsize=(WIDTH, 1.0))
    figure.text(0.02, 0.5, wrap(text, WIDTH - 0.3, TEXT), va="center", color=GREY)
    return figure


def save(figure: Figure, png: str | os.PathLike, svg: str | os.PathLike) -> None:
    """Write the figure as PNG and SVG. The same figure gives the same bytes: ids are salted, dates left out."""
    with matplotlib.rc_context(RC):
        write_atomically(png, lambda partial: figure.savefig(partial, format="png", dpi=DPI))
        write_atomically(svg, lambda partial: figure.savefig(partial, format="svg", metadata={"Date": None}))
