"""At most so many images of each class."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from prunetransfer.datasets.drawing import kept, ranks
from prunetransfer.datasets.samples import Samples
from prunetransfer.settings.registry import view_step
from prunetransfer.settings.types import PerSplit


@view_step(place=30)
def per_class(
    samples: Samples,
    count: Annotated[
        PerSplit,
        Field(
            {},
            description="The largest number of images of each class, in both splits or in each as `{train, test}`; "
            "left out, all.",
        ),
    ],
    seed: int,
) -> Samples:
    """At most `count` images of each class, drawn at random; a smaller draw is part of a larger one."""
    return kept(samples, ranks(samples.labels, seed) < count)
