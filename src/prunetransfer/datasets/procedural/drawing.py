"""What families draw with: numbers, colours, gradients, and a canvas that smooths edges. Lengths are in sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from prunetransfer.datasets.procedural.families import Rng

FINER = 2  # pixels of a canvas to one of the image, along each side


def log_uniform(rng: Rng, low: float, high: float, n: int | None = None) -> np.ndarray | float:
    """n numbers from low to high, as many in each octave; one where n is None."""
    return np.exp(rng.uniform(np.log(low), np.log(high), n))


def colours(rng: Rng, n: int) -> np.ndarray:
    """n colours of one image, float [n, 3] from 0 to 1, mostly saturated.

    Their hues lie around one hue, in a range that is drawn too: some images are of one tone, others have all of them.
    """
    hue = rng.uniform() + rng.uniform(0.2, 1.0) * rng.uniform(-0.5, 0.5, n)
    saturation, value = np.sqrt(rng.uniform(size=n)), rng.uniform(0.1, 1.0, n)
    sector = (np.array([5.0, 3.0, 1.0]) + 6 * hue[:, None]) % 6  # of red, green and blue on the wheel
    return value[:, None] * (1 - saturation[:, None] * np.clip(np.minimum(sector, 4 - sector), 0, 1))


def places(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixels' centres, float32 x [1, size] and y [size, 1] from 0 to 1."""
    centres = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return centres[None], centres[:, None]


def gradient(rng: Rng, size: int) -> np.ndarray:
    """One colour that turns into another along a line, float [size, size, 3]."""
    x, y = places(size)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.clip(0.5 + np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5), 0, 1)[..., None]
    first, last = colours(rng, 2).astype(np.float32)
    return first + (last - first) * along


def to_bytes(values: np.ndarray) -> np.ndarray:
    """From 0 to 1, cut off beyond, to uint8."""
    return np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)


class Canvas:
    """An image to draw on, FINER × as large as it comes out, so that edges are smooth."""

    def __init__(self, pixels: np.ndarray):
        """pixels: the ground, uint8 [size, size, 3]."""
        self.side = FINER * len(pixels)
        self.image = Image.fromarray(pixels).resize((self.side, self.side), Image.Resampling.NEAREST)
        self.pen = ImageDraw.Draw(self.image)

    def polygon(self, corners: np.ndarray, colour: Sequence[int]) -> None:
        """corners: float [n, 2], in sides."""
        self.pen.polygon((corners * self.side).ravel().tolist(), fill=tuple(colour))

    def line(self, points: np.ndarray, width: float, colour: Sequence[int]) -> None:
        """points: float [n, 2]; width: both in sides, at least a pixel of the image."""
        pixels = max(round(width * self.side), FINER)
        self.pen.line((points * self.side).ravel().tolist(), fill=tuple(colour), width=pixels, joint="curve")

    def paste(self, corners: np.ndarray, pixels: np.ndarray) -> None:
        """A polygon filled with an image, uint8 [n, n, 3], that is enlarged to it."""
        corners = corners * self.side
        start = np.floor(corners.min(0)).astype(int)
        size = tuple((np.ceil(corners.max(0)).astype(int) - start + 1).tolist())
        mask = Image.new("1", size)
        ImageDraw.Draw(mask).polygon((corners - start).ravel().tolist(), fill=1)
        self.image.paste(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR), tuple(start.tolist()), mask)

    def pixels(self) -> np.ndarray:
        """What was drawn, uint8 [size, size, 3]."""
        return np.asarray(self.image.reduce(FINER))


def outlines(
    rng: Rng, radii: np.ndarray, corners: int, ragged: float = 0.0, narrow: np.ndarray | float = 1.0
) -> np.ndarray:
    """Polygons around 0, float [n, corners, 2], each turned at random.

    radii: float [n]; narrow: float [n]. The corners lie on an ellipse of half-axes radius and narrow · radius, each
    nearer to the centre by a random share of at most `ragged`.
    """
    shape = (len(radii), corners)
    around = 2 * np.pi * (np.arange(corners) + ragged * rng.uniform(-0.5, 0.5, shape)) / corners
    away = radii[:, None] * (1 - ragged * rng.uniform(size=shape))
    x, y = away * np.cos(around), away * np.reshape(narrow, (-1, 1)) * np.sin(around)
    turn = rng.uniform(0, 2 * np.pi, (len(radii), 1))
    return np.stack([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y], axis=-1)
