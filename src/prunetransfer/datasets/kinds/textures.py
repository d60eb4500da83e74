"""Procedural textures: ten patterns with random scale, phase, orientation, shape, colours and noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from prunetransfer.datasets.samples import Samples
from prunetransfer.datasets.seen import SPLITS
from prunetransfer.settings.registry import dataset_kind
from prunetransfer.settings.types import Draw, TestPerClass, TrainPerClass

SIDE = 64
PERIOD = (12.0, 20.0)  # pixels
LIGHT, DARK = (0.7, 1.0), (0.0, 0.3)  # greys of ground and figure, where 1 is white
TINT = 0.1  # largest difference of a channel from that grey
SHADE = 0.25  # largest darkening across the image
NOISE = (0.0, 0.06)  # standard deviation, where 1 is white
EDGE = 0.08  # softness of an edge, periods

PLANE_WAVES = 24  # that a random field is the sum of

Rng = np.random.Generator
Grid = np.ndarray  # float [n, SIDE, SIDE]
Pattern = Callable[[Grid, Grid, Rng], Grid]
PATTERNS: dict[str, Pattern] = {}


@dataset_kind()
def textures(
    split: str, *, seed: Draw = 0, train_per_class: TrainPerClass = 100, test_per_class: TestPerClass = 50
) -> Samples:
    """Procedural textures.

    RGB 64 × 64 images of ten textures; train and test come from separate random streams.
    """
    count = {"train": train_per_class, "test": test_per_class}[split]
    classes = sorted(PATTERNS)
    pixels = np.concatenate(
        [
            _paint(PATTERNS[name], count, np.random.default_rng([seed, SPLITS.index(split), label]))
            for label, name in enumerate(classes)
        ]
    )
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), count)
    return Samples([Image.fromarray(image) for image in pixels], labels, classes)


def pattern(function: Pattern) -> Pattern:
    """Make `function` a class of its name: it maps coordinates u, v, in periods, to values from 0 to 1."""
    PATTERNS[function.__name__] = function
    return function


def _paint(draw: Pattern, n: int, rng: Rng) -> np.ndarray:
    """`n` images, uint8 [n, SIDE, SIDE, 3], each with its own draw of everything that varies."""
    x, y = np.meshgrid(np.arange(SIDE) - SIDE / 2, np.arange(SIDE) - SIDE / 2)
    angle, period = _per_image(rng, n, 0, 2 * np.pi), _per_image(rng, n, *PERIOD)
    u = (np.cos(angle) * x + np.sin(angle) * y) / period + _per_image(rng, n, 0, 1)
    v = (np.cos(angle) * y - np.sin(angle) * x) / period + _per_image(rng, n, 0, 1)
    shape = draw(u, v, rng)[..., None]
    ground, figure = _colour(n, LIGHT, rng), _colour(n, DARK, rng)
    direction = _per_image(rng, n, 0, 2 * np.pi)
    slope = (np.cos(direction) * x + np.sin(direction) * y) / SIDE
    shade = 1 - _per_image(rng, n, 0, SHADE) * (slope + 0.5)
    colour = (ground + (figure - ground) * shape) * shade[..., None]
    noise = rng.normal(size=(n, SIDE, SIDE, 1)) * _per_image(rng, n, *NOISE)[..., None]
    return np.rint(255 * np.clip(colour + noise, 0, 1)).astype(np.uint8)


def _colour(n: int, greys: tuple[float, float], rng: Rng) -> np.ndarray:
    """A tinted grey for each image, [n, 1, 1, 3]."""
    return rng.uniform(*greys, size=(n, 1, 1, 1)) + rng.uniform(-TINT, TINT, size=(n, 1, 1, 3))


def _per_image(rng: Rng, n: int, low: float, high: float) -> np.ndarray:
    return rng.uniform(low, high, size=(n, 1, 1))


def _within(distance: Grid, limit: float | np.ndarray) -> Grid:
    """1 where `distance` is below `limit`, 0 above, soft between."""
    return np.clip(0.5 + (limit - distance) / EDGE, 0, 1)


def _to_line(u: Grid) -> Grid:
    """Distance to the nearest whole number."""
    return np.abs(u - np.rint(u))


@pattern
def stripes(u: Grid, v: Grid, rng: Rng) -> Grid:
    return _within(_to_line(u), _per_image(rng, len(u), 0.15, 0.35))


@pattern
def zigzag(u: Grid, v: Grid, rng: Rng) -> Grid:
    bend = _per_image(rng, len(u), 0.7, 1.4)
    return stripes(u + bend * 2 * _to_line(v / 2), v, rng)


@pattern
def checks(u: Grid, v: Grid, rng: Rng) -> Grid:
    across, along = _within(_to_line(u), 0.25), _within(_to_line(v), 0.25)
    return across * along + (1 - across) * (1 - along)


@pattern
def grid(u: Grid, v: Grid, rng: Rng) -> Grid:
    width = _per_image(rng, len(u), 0.08, 0.2)
    return np.maximum(_within(_to_line(u), width), _within(_to_line(v), width))


@pattern
def dots(u: Grid, v: Grid, rng: Rng) -> Grid:
    radius = _per_image(rng, len(u), 0.22, 0.4)
    return _within(np.hypot(_to_line(u), _to_line(v)), radius)


@pattern
def rings(u: Grid, v: Grid, rng: Rng) -> Grid:
    return stripes(np.hypot(u, v), v, rng)


@pattern
def bricks(u: Grid, v: Grid, rng: Rng) -> Grid:
    mortar = _per_image(rng, len(u), 0.05, 0.12)
    course = np.rint(2 * v)
    joint = _to_line(u + 0.5 * (course % 2))
    return np.minimum(1 - _within(_to_line(2 * v + 0.5) / 2, mortar), 1 - _within(joint, mortar))


@pattern
def blobs(u: Grid, v: Grid, rng: Rng) -> Grid:
    return _within(-_smooth_noise(u, v, rng), 0)


@pattern
def scales(u: Grid, v: Grid, rng: Rng) -> Grid:
    width = _per_image(rng, len(u), 0.05, 0.12)
    row = np.floor(2 * v)
    return _within(np.abs(np.hypot(_to_line(u - row % 2 / 2), v - row / 2) - 0.5), width)


@pattern
def wood(u: Grid, v: Grid, rng: Rng) -> Grid:
    grain = np.cos(2 * np.pi * (u + 0.5 * _smooth_noise(u / 2, v / 8, rng)))
    fibres = _smooth_noise(4 * u, v / 4, rng)
    return np.clip(0.5 + 0.25 * grain + 0.25 * fibres, 0, 1)


def _smooth_noise(u: Grid, v: Grid, rng: Rng) -> Grid:
    """A random field of unit variance over (u, v), about one period to a blob: a sum of plane waves."""
    total = np.zeros_like(u)
    for _ in range(PLANE_WAVES):
        angle, phase = _per_image(rng, len(u), 0, 2 * np.pi), _per_image(rng, len(u), 0, 2 * np.pi)
        speed = 2 * np.pi * _per_image(rng, len(u), 0.3, 0.8)
        total += np.cos(speed * (np.cos(angle) * u + np.sin(angle) * v) + phase)
    return total * np.sqrt(2 / PLANE_WAVES)
