"""Wrong labels in the train split."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import numpy as np
from pydantic import Field

from prunetransfer.datasets.samples import Samples
from prunetransfer.settings.registry import view_step
from prunetransfer.settings.types import Share, says


@view_step(place=60, splits=("train",), unchanged=0)
def label_noise(
    samples: Samples,
    share: Annotated[
        Share,
        Field(
            None,
            description="Share of the train images that get the label of another class, uniformly among the others. "
            "The test split stays as it is.",
        ),
        says(allowed="a number from 0 to 1"),
    ],
    seed: int,
) -> Samples:
    """Symmetric noise on exactly round(share · n) labels; those of a smaller share are part of a larger one's."""
    rng, count, classes = np.random.default_rng(seed), len(samples.labels), len(samples.classes)
    wrong = np.zeros(count, dtype=bool)
    wrong[rng.permutation(count)[: round(share * count)]] = True
    steps = rng.integers(1, classes, size=count)  # for every image, whatever the share: so that shares nest
    labels = np.where(wrong, (samples.labels + steps) % classes, samples.labels)
    return dataclasses.replace(samples, labels=labels)
