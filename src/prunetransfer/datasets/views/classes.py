"""Some of the classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from prunetransfer.datasets.drawing import kept
from prunetransfer.datasets.samples import Samples
from prunetransfer.runtime.messages import nearest
from prunetransfer.settings.registry import view_step
from prunetransfer.settings.types import Natural, says

ClassName = Annotated[str | Natural, says(allowed="the name or the number of a class")]


@view_step(place=10)
def classes(
    samples: Samples,
    wanted: Annotated[
        Annotated[list[ClassName], Field(min_length=2), says(uniqueItems=True)] | None,
        Field(
            None,
            description="Its classes, by name or by number from 0, in the order that the labels get; left out, all.",
        ),
        says(allowed="a list of at least two, each the name or the number of a class, none twice"),
    ],
    seed: int,
) -> Samples:
    """These classes, by name or number, in this order. Raises ValueError for one that is not there, or twice."""
    numbers = [_number(name, samples.classes) for name in wanted]
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"classes {', '.join(map(str, wanted))}: one is there twice, by its name and by its number")
    new = np.full(len(samples.classes), -1)
    new[numbers] = np.arange(len(numbers))
    left = kept(samples, new[samples.labels] >= 0)
    return dataclasses.replace(left, labels=new[left.labels], classes=[samples.classes[k] for k in numbers])


def _number(wanted: str | int, names: Sequence[str]) -> int:
    if isinstance(wanted, str) and wanted in names:
        return names.index(wanted)
    if isinstance(wanted, int) and 0 <= wanted < len(names):
        return wanted
    raise ValueError(f"no class {wanted!r} among the {len(names)}, 0 to {len(names) - 1}{nearest(wanted, names)}")
