"""Labelled images before preparation: what a dataset kind returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL.Image import Image

from prunetransfer.runtime.messages import abridged


@dataclass(frozen=True)
class Samples:
    """One split of a dataset.

    images: PIL images of any mode and size, decoded when they are asked for, with their `filename` where it is known;
    labels: int64 [n], indices into `classes`; passed_over: what is there and does not count, reason → names;
    classes_before: of a view, the classes before each selection that it is seen through; before, after: what is done
    to each image in RGB before it is prepared, and to its pixels, uint8 [size, size, 3], after. Raises ValueError if a
    label names no class.
    """

    images: Sequence[Image]
    labels: np.ndarray
    classes: list[str]
    passed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    classes_before: Sequence[Sequence[str]] = ()
    before: Sequence[Callable[[Image], Image]] = ()
    after: Sequence[Callable[[np.ndarray], np.ndarray]] = ()

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images but {len(self.labels)} labels")
        strays = np.setdiff1d(self.labels, np.arange(len(self.classes)))
        if len(strays):
            raise ValueError(
                f"label {strays[0]} is out of range: {len(self.classes)} classes allow 0 to {len(self.classes) - 1}"
            )

    def omissions(self) -> list[str]:
        """What was passed over, a line a reason, with the first names."""
        return [f"passed over {len(names)} {why}: {abridged(names)}" for why, names in self.passed_over.items()]


def held_out(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which images to test on: bool [n], a seeded draw of `share` of each class (rounded; with two images, one)."""
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        chosen[np.random.default_rng([seed, int(label)]).permutation(members)[:count]] = True
    return chosen
