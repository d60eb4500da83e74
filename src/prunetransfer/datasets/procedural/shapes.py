"""Filled shapes over a gradient."""

from __future__ import annotations

import numpy as np

from prunetransfer.datasets.procedural.drawing import Canvas, gradient, log_uniform, outlines, to_bytes
from prunetransfer.datasets.procedural.families import Rng, family

NUMBER = (6, 48)
RADIUS = (0.05, 0.45)
ROUND = 48  # corners of an ellipse
SMOOTH = 32  # pixels that a gradient is enlarged from


@family
def shapes(rng: Rng, size: int) -> np.ndarray:
    """6 to 48 ellipses, rectangles and polygons, as many in each octave of sizes, each filled with a gradient."""
    canvas = Canvas(to_bytes(gradient(rng, size)))
    n = int(log_uniform(rng, NUMBER[0], NUMBER[1] + 1))
    radii = log_uniform(rng, *RADIUS, n)
    for radius, draw in zip(radii, rng.choice([_ellipse, _rectangle, _polygon], n), strict=True):
        canvas.paste(rng.uniform(size=2) + draw(rng, radius), to_bytes(gradient(rng, SMOOTH)))
    return canvas.pixels()


def _ellipse(rng: Rng, radius: float) -> np.ndarray:
    return outlines(rng, np.array([radius]), ROUND, narrow=rng.uniform(0.3, 1))[0]


def _rectangle(rng: Rng, radius: float) -> np.ndarray:
    """With its diagonal of 2 · radius, at random angles to its sides and to the image's."""
    half, turn = rng.uniform(0.2, np.pi / 4), rng.uniform(0, 2 * np.pi)
    angles = turn + np.array([half, np.pi - half, np.pi + half, -half])
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _polygon(rng: Rng, radius: float) -> np.ndarray:
    return outlines(rng, np.array([radius]), rng.integers(3, 10), ragged=rng.uniform(0, 0.6))[0]
