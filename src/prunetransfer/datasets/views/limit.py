"""At most so many images in all."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from prunetransfer.datasets.drawing import kept, ranks
from prunetransfer.datasets.samples import Samples
from prunetransfer.settings.registry import view_step
from prunetransfer.settings.types import PerSplit


@view_step(place=40)
def limit(
    samples: Samples,
    count: Annotated[
        PerSplit,
        Field({}, description="The largest number of images, in the same way; classes keep their proportions."),
    ],
    seed: int,
) -> Samples:
    """At most `count` images, drawn at random with the classes in the same proportions, one of each at the least.

    A smaller draw is part of a larger one. Raises ValueError if there are more classes than images to draw.
    """
    sizes = np.bincount(samples.labels)
    if count < len(sizes):
        raise ValueError(f"limit {count}: each of the {len(sizes)} classes keeps at least one image")
    places = ranks(samples.labels, seed)
    shares = np.where(places == 0, 0, (places + 0.5) / sizes[samples.labels])
    ties = np.random.default_rng(seed).permutation(len(shares))
    chosen = np.zeros(len(shares), dtype=bool)
    chosen[np.lexsort((ties, shares))[:count]] = True
    return kept(samples, chosen)
