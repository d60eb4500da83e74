"""Dead leaves: things of all sizes that hide each other (Lee, Mumford & Huang 2001, IJCV 41)."""

from __future__ import annotations

import numpy as np

from prunetransfer.datasets.procedural.drawing import Canvas, colours, log_uniform, outlines, to_bytes
from prunetransfer.datasets.procedural.families import Rng, family

LARGEST = 0.4  # radius
SMALLEST = (0.02, 0.06)  # radius, drawn for each image
FALLEN = 3.0  # how often the image is covered, on average
ROUND = 20  # corners of a disc or an ellipse


@family
def dead_leaves(rng: Rng, size: int) -> np.ndarray:
    """Leaves of plain colours fall until they cover the image three times on average; the last lie on top.

    An image has discs, ellipses, polygons, or all of them.
    """
    smallest = log_uniform(rng, *SMALLEST)
    area = 2 * np.pi * np.log(LARGEST / smallest) / (smallest**-2 - LARGEST**-2)  # of a disc, on average
    n = int(FALLEN * (1 + 2 * LARGEST) ** 2 / area)
    centres, sizes = rng.uniform(-LARGEST, 1 + LARGEST, (n, 2)), radii(rng, smallest, LARGEST, n)
    seen = np.all(np.abs(centres - 0.5) < 0.5 + sizes[:, None], axis=1)
    centres, sizes = centres[seen], sizes[seen]
    ground, *paint = to_bytes(colours(rng, 1 + len(sizes))).tolist()
    canvas = Canvas(np.full((size, size, 3), ground, dtype=np.uint8))
    leaves = [draw(rng, sizes) for draw in rng.permutation([_discs, _ellipses, _polygons])[: rng.choice([1, 3])]]
    for k, kind in enumerate(rng.integers(len(leaves), size=len(sizes))):
        canvas.polygon(centres[k] + leaves[kind][k], paint[k])
    return canvas.pixels()


def radii(rng: Rng, smallest: float, largest: float, n: int) -> np.ndarray:
    """n radii of density ∝ r^-3 from smallest to largest: then a part of the image, enlarged, looks like the whole."""
    return (smallest**-2 - rng.uniform(size=n) * (smallest**-2 - largest**-2)) ** -0.5


def _discs(rng: Rng, sizes: np.ndarray) -> np.ndarray:
    return outlines(rng, sizes, ROUND)


def _ellipses(rng: Rng, sizes: np.ndarray) -> np.ndarray:
    return outlines(rng, sizes, ROUND, narrow=rng.uniform(0.25, 0.8, len(sizes)))


def _polygons(rng: Rng, sizes: np.ndarray) -> np.ndarray:
    return outlines(rng, sizes, rng.integers(3, 9), ragged=rng.uniform(0, 0.5))
