"""Strokes of a pen across the image."""

from __future__ import annotations

import numpy as np

from prunetransfer.datasets.procedural.drawing import Canvas, colours, gradient, log_uniform, to_bytes
from prunetransfer.datasets.procedural.families import Rng, family

NUMBER = (8, 80)
WIDTH = (0.004, 0.08)
POINTS = 24  # of a curve
BEYOND = 0.3  # how far outside the image a curve may start, turn and end
STRAIGHT = 0.3  # share of images whose strokes are straight


@family
def strokes(rng: Rng, size: int) -> np.ndarray:
    """8 to 80 lines, or cubic Bézier curves, as many in each octave of widths, over a gradient.

    They run across the image, whose sides cut most of them, so they do not look like writing.
    """
    canvas = Canvas(to_bytes(gradient(rng, size)))
    n = int(log_uniform(rng, NUMBER[0], NUMBER[1] + 1))
    ends = rng.uniform(-BEYOND, 1 + BEYOND, (n, 4, 2))
    lines = ends[:, :2] if rng.uniform() < STRAIGHT else bezier(ends)
    for points, width, colour in zip(
        lines, log_uniform(rng, *WIDTH, n), to_bytes(colours(rng, n)).tolist(), strict=True
    ):
        canvas.line(points, width, colour)
    return canvas.pixels()


def bezier(ends: np.ndarray) -> np.ndarray:
    """Points of cubic Bézier curves, float [n, POINTS, 2]; ends: their control points [n, 4, 2]."""
    t = np.linspace(0, 1, POINTS)
    weights = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
    return weights @ ends
