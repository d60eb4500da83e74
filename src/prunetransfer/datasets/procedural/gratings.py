"""Gratings: waves of one direction, all over the image or in patches."""

from __future__ import annotations

import numpy as np

from prunetransfer.datasets.procedural.drawing import colours, log_uniform, places, to_bytes
from prunetransfer.datasets.procedural.families import Rng, family

NUMBER = (1, 4)
PATCHES = (4, 16)
FREQUENCY = (1.5, 24.0)  # cycles a side
PATCH = (0.04, 0.25)  # standard deviation of a patch's window
PATCHY = 0.5  # share of images made of patches
EDGE = 4.0  # steepness of a square wave, whose edges would alias otherwise


@family
def gratings(rng: Rng, size: int) -> np.ndarray:
    """Sinusoidal or square waves between two colours: 1 to 4 gratings that are added up, or 4 to 16 Gabor patches on a
    plain ground."""
    if rng.uniform() < PATCHY:
        image = np.broadcast_to(colours(rng, 1)[0].astype(np.float32), (size, size, 3))
        for _ in range(rng.integers(*PATCHES, endpoint=True)):
            image = image + window(rng, size)[..., None] * (_coloured(rng, size) - image)
        return to_bytes(image)
    number = rng.integers(*NUMBER, endpoint=True)
    mean = sum(_coloured(rng, size) for _ in range(number)) / number
    centre = mean.mean((0, 1))
    return to_bytes(centre + np.sqrt(number) * (mean - centre))


def _coloured(rng: Rng, size: int) -> np.ndarray:
    dark, light = colours(rng, 2).astype(np.float32)
    return dark + (light - dark) * (0.5 + 0.5 * grating(rng, size, log_uniform(rng, *FREQUENCY)))[..., None]


def grating(rng: Rng, size: int, frequency: float) -> np.ndarray:
    """A wave from -1 to 1 of a random direction and phase, float32 [size, size], sinusoidal or nearly square.

    frequency: cycles a side.
    """
    x, y = places(size)
    angle, phase = rng.uniform(0, 2 * np.pi, 2)
    fast = 2 * np.pi * frequency
    wave = np.sin(np.float32(fast * np.cos(angle)) * x + np.float32(fast * np.sin(angle)) * y + np.float32(phase))
    return np.tanh(EDGE * wave) if rng.uniform() < 0.5 else wave


def window(rng: Rng, size: int) -> np.ndarray:
    """A Gaussian bump of height 1 somewhere in the image, float32 [size, size]."""
    x, y = places(size)
    (across, along), width = rng.uniform(size=2).astype(np.float32), np.float32(log_uniform(rng, *PATCH))
    return np.exp(-(((x - across) / width) ** 2) / 2) * np.exp(-(((y - along) / width) ** 2) / 2)
