"""Views of a dataset: some of its classes, some of its images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from PIL.Image import Image
from pydantic import Field

from prunetransfer.datasets.samples import Samples
from prunetransfer.runtime.messages import nearest
from prunetransfer.settings.types import Count, Natural, Section, says


class Most(Section):
    """The largest numbers of images of the splits."""

    train: Annotated[Count | None, Field(description="Of the train split.")] = None
    test: Annotated[Count | None, Field(description="Of the test split.")] = None


ClassName = Annotated[str | Natural, says(allowed="the name or the number of a class")]
PerSplit = Annotated[Count | Most, says(allowed="a whole number at least 1, or that of each split as {train, test}")]

STEPS: dict[str, Callable[[Samples, Any, int], Samples]] = {}


def view(samples: Samples, split: str, selection: Mapping[str, Any]) -> Samples:
    """What `selection` leaves of one split: the arguments of STEPS, by name, taken in the order of their definition.

    An argument that is a mapping has one value a split; a split that it lacks is left whole. selection["seed"] decides
    what is drawn. Raises ValueError for what the steps refuse.
    """
    for name, narrowed in STEPS.items():
        argument = selection.get(name)
        if isinstance(argument, Mapping):
            argument = argument.get(split)
        if argument is not None:
            samples = narrowed(samples, argument, selection["seed"])
    return samples


def step(function: Callable[[Samples, Any, int], Samples]) -> Callable[[Samples, Any, int], Samples]:
    """Let a view have the key of this function's name, as its second parameter says; images are not decoded."""
    STEPS[function.__name__] = function
    return function


@step
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
    kept = _kept(samples, new[samples.labels] >= 0)
    return dataclasses.replace(kept, labels=new[kept.labels], classes=[samples.classes[k] for k in numbers])


@step
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
    return _kept(samples, _ranks(samples.labels, seed) < count)


@step
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
    ranks = _ranks(samples.labels, seed)
    places = np.where(ranks == 0, 0, (ranks + 0.5) / sizes[samples.labels])
    ties = np.random.default_rng(seed).permutation(len(places))
    chosen = np.zeros(len(places), dtype=bool)
    chosen[np.lexsort((ties, places))[:count]] = True
    return _kept(samples, chosen)


class Chosen(Sequence):
    """Some images of a sequence, in its order; only they are decoded."""

    def __init__(self, images: Sequence[Image], indices: np.ndarray):
        self.images, self.indices = images, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Image:
        return self.images[int(self.indices[index])]


def _kept(samples: Samples, chosen: np.ndarray) -> Samples:
    """The images where `chosen`, bool [n], holds."""
    images = Chosen(samples.images, np.flatnonzero(chosen))
    return dataclasses.replace(samples, images=images, labels=samples.labels[chosen])


def _number(wanted: str | int, names: Sequence[str]) -> int:
    if isinstance(wanted, str) and wanted in names:
        return names.index(wanted)
    if isinstance(wanted, int) and 0 <= wanted < len(names):
        return wanted
    raise ValueError(f"no class {wanted!r} among the {len(names)}, 0 to {len(names) - 1}{nearest(wanted, names)}")


def _ranks(labels: np.ndarray, seed: int) -> np.ndarray:
    """The place of each image in a random order of its class, from 0: int64 [n]."""
    ranks = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        ranks[np.random.default_rng([seed, int(label)]).permutation(members)] = np.arange(len(members))
    return ranks
