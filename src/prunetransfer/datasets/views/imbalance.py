"""A long tail: classes whose numbers of train images fall exponentially."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from prunetransfer.datasets.drawing import kept, ranks
from prunetransfer.datasets.samples import Samples
from prunetransfer.settings.registry import view_step
from prunetransfer.settings.types import Section, says


class Imbalance(Section):
    """How long the tail is."""

    ratio: Annotated[
        float,
        Field(ge=1, description="Share of its images that the first class keeps over that which the last one keeps."),
    ]


@view_step(place=50, splits=("train",), unchanged={"ratio": 1})
def imbalance(
    samples: Samples,
    tail: Annotated[
        Imbalance,
        Field(
            None,
            description="A long tail of the train split: in a random order of the K classes, drawn with the seed, "
            "class k from 0 keeps n · ratio^(−k/(K−1)) of its n images, one at the least. The test split stays as it "
            "is.",
        ),
        says(allowed="how long the tail is, as {ratio: 100}"),
    ],
    seed: int,
) -> Samples:
    """Classes that thin out exponentially, the last to 1/ratio (Cui et al. 2019, Class-Balanced Loss, CVPR).

    The profile is relative to each class's own number of images. With a larger ratio each class keeps a part of what it
    keeps with a smaller one.
    """
    order = np.random.default_rng(seed).permutation(len(samples.classes))
    places = np.argsort(order) / max(len(order) - 1, 1)
    sizes = np.bincount(samples.labels, minlength=len(order))
    counts = np.maximum(np.rint(sizes * float(tail["ratio"]) ** -places), 1)
    return kept(samples, ranks(samples.labels, seed) < counts[samples.labels])
