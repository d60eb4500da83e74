"""What a figure shows: its panels, lines and texts."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

LONG = "vit_small_patch16_224.augreg_in21k_ft_in1k_with_an_even_longer_name"


def panel(figure, title):
    (found,) = [axes for axes in figure.axes if axes.get_title("left").replace("\n", " ") == title]
    return found


def points(axes) -> dict[str, tuple[list, list]]:
    """The data of every labelled line: label → (x, y)."""
    return {line.get_label(): (list(line.get_xdata()), pytest.approx(list(line.get_ydata()))) for line in axes.lines}


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def texts_in_sight(figure) -> list[Text]:
    """Every text that is drawn: ticks outside the panel's range are not, though Matplotlib keeps them."""
    FigureCanvasAgg(figure).draw()
    hidden = set()
    for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        for place, tick in zip(axis.get_majorticklocs(), axis.get_major_ticks(), strict=True):
            if not (axis.axes.axison and low <= place <= high):
                hidden |= {tick.label1, tick.label2}
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in hidden]


def assert_readable(figure):
    """No text is cut by the figure's edge or lies on another text."""
    boxes = {text: text.get_window_extent() for text in texts_in_sight(figure)}
    for text, box in boxes.items():
        assert box.x0 > -1 and box.y0 > -1 and box.x1 < figure.bbox.x1 + 1 and box.y1 < figure.bbox.y1 + 1, text
    for (text, box), (other, beside) in combinations(boxes.items(), 2):
        wide, high = min(box.x1, beside.x1) - max(box.x0, beside.x0), min(box.y1, beside.y1) - max(box.y0, beside.y0)
        assert wide < 1 or high < 1, f"{text} lies on {other}"
