"""Draws of some images of a split; only what was drawn is decoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL.Image import Image

from prunetransfer.datasets.samples import Samples


class Chosen(Sequence):
    """Some images of a sequence, in its order; only they are decoded."""

    def __init__(self, images: Sequence[Image], indices: np.ndarray):
        self.images, self.indices = images, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Image:
        return self.images[int(self.indices[index])]


def kept(samples: Samples, chosen: np.ndarray) -> Samples:
    """The images where `chosen`, bool [n], holds."""
    images = Chosen(samples.images, np.flatnonzero(chosen))
    return dataclasses.replace(samples, images=images, labels=samples.labels[chosen])


def ranks(labels: np.ndarray, seed: int) -> np.ndarray:
    """The place of each image in a random order of its class, from 0: int64 [n]."""
    places = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        places[np.random.default_rng([seed, int(label)]).permutation(members)] = np.arange(len(members))
    return places
