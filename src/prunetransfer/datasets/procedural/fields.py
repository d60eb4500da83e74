"""Random fields: noise of a drawn spectrum, and fractal noise that is warped by other noise."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

from prunetransfer.datasets.procedural.drawing import colours, log_uniform, places, to_bytes
from prunetransfer.datasets.procedural.families import Rng, family

EXPONENT = (1.0, 3.5)  # of the power spectrum; natural images have about 2
LEVEL, CONTRAST = (0.35, 0.65), (0.15, 0.3)  # mean of a channel, and the largest channel's standard deviation
MIXED = np.array([1.0, 0.6, 0.3])  # how much of each field is in the channels
COARSEST, FADES = (1.0, 6.0), (0.35, 0.75)  # cells of a side in the first octave; amplitude from octave to octave
WARP = (0.05, 0.5)  # largest shift, in sides
STOPS = (4, 10)  # colours of a palette


@family
def noise(rng: Rng, size: int) -> np.ndarray:
    """Noise with a power spectrum ∝ f^-α, α from 1 to 3.5, in channels that go together (Baradad et al. 2021,
    NeurIPS).

    Three fields are mixed into the channels by a random matrix, so channels are alike in part, as in photographs.
    """
    fields = power_law(rng, size, rng.uniform(*EXPONENT), 3)
    mixing = MIXED * rng.normal(size=(3, 3))
    mixing *= rng.uniform(*CONTRAST) / np.linalg.norm(mixing, axis=1).max()
    return to_bytes(rng.uniform(*LEVEL, 3) + fields @ mixing.T)


@family
def warped(rng: Rng, size: int) -> np.ndarray:
    """Fractal noise, an octave twice as fine and fainter than the one before, looked up where two more such fields have
    shifted each pixel to, and coloured by a palette: marble, clouds, wood."""
    strength, (x, y) = log_uniform(rng, *WARP), places(size)
    shift = strength * (np.stack([octaves(rng, size), octaves(rng, size)]) - 0.5)
    at = np.stack([y + shift[0], x + shift[1]]) * size - 0.5
    values = _stretched(map_coordinates(octaves(rng, size), at, order=1, mode="mirror"))
    palette = colours(rng, rng.integers(*STOPS, endpoint=True))
    stops = np.linspace(0, 1, len(palette))
    return to_bytes(np.stack([np.interp(values, stops, channel) for channel in palette.T], axis=-1))


def power_law(rng: Rng, size: int, exponent: float, n: int) -> np.ndarray:
    """n independent Gaussian fields, float [size, size, n] of mean 0 and variance 1, with power ∝ f^-exponent."""
    white = np.fft.rfft2(rng.standard_normal((n, size, size), dtype=np.float32))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf  # no mean
    fields = np.fft.irfft2(white * frequency ** (-exponent / 2), s=(size, size)).astype(np.float32)
    return np.moveaxis(fields / fields.std(axis=(1, 2), keepdims=True), 0, -1)


def octaves(rng: Rng, size: int) -> np.ndarray:
    """Fractal noise, float32 [size, size] from 0 to 1: random grids, each about twice as fine as the one before it and
    fainter by a share that is drawn, enlarged smoothly and added up."""
    cells, fades = log_uniform(rng, *COARSEST), rng.uniform(*FADES)
    total, amplitude = np.zeros((size, size), dtype=np.float32), 1.0
    while cells < size / 2:
        # Only a part of a grid is shown, so that its cells need not fit into the side.
        corners = int(np.ceil(cells)) + 3
        grid = Image.fromarray(rng.standard_normal((corners, corners), dtype=np.float32))
        shown = (1, 1, 1 + cells, 1 + cells)
        total += amplitude * np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC, box=shown))
        cells, amplitude = 2 * cells, fades * amplitude
    return _stretched(total)


def _stretched(values: np.ndarray) -> np.ndarray:
    """From 0 to 1."""
    return (values - values.min()) / np.ptp(values)
