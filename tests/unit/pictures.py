"""Small images, of one grey or of noise, and a folder of them in which one is cut short."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.samples import Samples

FEW = {"train_per_class": 3, "test_per_class": 2}


def grey(level: int, shape: tuple[int, int] = (2, 2)) -> Image.Image:
    return Image.fromarray(np.full(shape, level, dtype=np.uint8))


def noise(seed: int, shape: tuple[int, ...] = (24, 32, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def noisy(*seeds: int) -> Samples:
    """One image of noise a seed, of two classes in turn."""
    return Samples([Image.fromarray(noise(seed)) for seed in seeds], np.arange(len(seeds)) % 2, ["a", "b"])


def contents(samples: Samples) -> list[bytes]:
    return [image.tobytes() for image in samples.images]


def folder(root: Path) -> Samples:
    """Five images of noise in two classes, and `train/b/1.jpg` cut short."""
    for split, name, count in (("train", "a", 2), ("train", "b", 3), ("test", "a", 1), ("test", "b", 1)):
        place = root / split / name
        place.mkdir(parents=True)
        for k in range(count):
            Image.fromarray(noise(k)).save(place / f"{k}.jpg")
    damaged = root / "train/b/1.jpg"
    damaged.write_bytes(damaged.read_bytes()[:-500])
    return load_samples("folder", "train", {"path": "."}, root)
