"""Labelled images before preparation: what a dataset kind returns, and what every kind must keep to."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from prunetransfer.datasets import kinds

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Samples:
    """One split of a dataset.

    images: PIL images of any mode and size, possibly decoded only when asked for; labels: int64 [n], indices into
    `classes`. Raises ValueError if there are fewer than two classes, a class has no image, or a label names no class.
    """

    images: Sequence[Image]
    labels: np.ndarray
    classes: list[str]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images but {len(self.labels)} labels")
        if len(self.classes) < 2:
            raise ValueError(f"a task needs at least two classes, got {', '.join(self.classes) or 'none'}")
        strays = np.setdiff1d(self.labels, np.arange(len(self.classes)))
        if len(strays):
            raise ValueError(
                f"label {strays[0]} is out of range: {len(self.classes)} classes allow 0 to {len(self.classes) - 1}"
            )
        empty = np.setdiff1d(np.arange(len(self.classes)), self.labels)
        if len(empty):
            raise ValueError(f"no images for class {', '.join(self.classes[label] for label in empty)}")


def load_samples(kind: str, split: str, settings: Mapping[str, Any], data_root: str | Path) -> Samples:
    """One split ("train" or "test") of a dataset of `kind`; a relative `path` among the settings starts at `data_root`.

    Raises ValueError for an unknown kind, split or setting, and for whatever the kind itself refuses.
    """
    known = sorted(module.name for module in pkgutil.iter_modules(kinds.__path__))
    if kind not in known:
        raise ValueError(f"unknown dataset kind {kind!r}: allowed are {', '.join(known)}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: allowed are {', '.join(SPLITS)}")
    # By name, so that the code digest of one kind does not cover the others.
    load = importlib.import_module(f"{kinds.__name__}.{kind}").load
    if "path" in settings:
        settings = {**settings, "path": Path(data_root) / settings["path"]}
    try:
        inspect.signature(load).bind(split, **settings)
    except TypeError as error:
        allowed = list(inspect.signature(load).parameters)[1:]
        raise ValueError(f"dataset kind {kind!r}: {error}; its settings are {', '.join(allowed) or 'none'}") from None
    return load(split, **settings)


def held_out(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which images to test on: bool [n], a seeded draw of `share` of each class (rounded; with two images, one)."""
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        chosen[np.random.default_rng([seed, int(label)]).permutation(members)[:count]] = True
    return chosen
