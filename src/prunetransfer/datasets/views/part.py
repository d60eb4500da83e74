"""One of several parts that have no image in common: disjoint draws of one source."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from prunetransfer.datasets.drawing import kept, ranks
from prunetransfer.datasets.samples import Samples
from prunetransfer.settings.registry import view_step
from prunetransfer.settings.types import Count, Section, says


class Part(Section, json_schema_extra={"allowed": "{number: …, of: …}"}):
    """Which of how many parts."""

    number: Annotated[Count, Field(description="Which part, from 1.")]
    of: Annotated[int, Field(ge=2, description="How many parts there are.")]


@view_step(place=20, splits=("train",))
def part(
    samples: Samples,
    which: Annotated[
        Part,
        Field(
            None,
            description="One of `of` parts of the train split, drawn class by class with the seed; together they are "
            "the whole. The test split stays as it is.",
        ),
        says(allowed="which part of how many, as {number: 1, of: 2}"),
    ],
    seed: int,
) -> Samples:
    """Every `of`-th image of each class in a random order, which starts elsewhere in each class: sizes stay even.

    Raises ValueError for a part that is not there, and for a class that has too few images for all parts to have one.
    """
    number, of = which["number"], which["of"]
    if number > of:
        raise ValueError(f"part {number} of {of}: allowed are 1 to {of}")
    sizes = np.bincount(samples.labels, minlength=len(samples.classes))
    if len(scarce := np.flatnonzero((sizes > 0) & (sizes < of))):
        name, size = samples.classes[scarce[0]], sizes[scarce[0]]
        raise ValueError(f"part {number} of {of}: class {name} has {size} train images, too few for {of} parts")
    return kept(samples, (ranks(samples.labels, seed) + samples.labels) % of == number - 1)
