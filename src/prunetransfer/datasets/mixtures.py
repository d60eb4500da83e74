"""Mixtures: the images of several datasets as one dataset, which has the classes of all."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from PIL.Image import Image

from prunetransfer.datasets.samples import Samples

KIND = "mixture"


def mixed(parts: Mapping[str, Samples]) -> Samples:
    """One split of a mixture: the images of its parts in their order; class `3` of the part `digits` is `digits: 3`.

    parts: name → the same split of each. No image is decoded before it is asked for. Raises ValueError for a part whose
    pixels a view changes.
    """
    if changed := [name for name, part in parts.items() if part.before or part.after]:
        raise ValueError(f"mixture: a view changes pixels of {', '.join(changed)}; a view of the mixture may do so")
    offsets = accumulate((len(part.classes) for part in parts.values()), initial=0)
    passed_over: dict[str, list[str]] = {}
    for part in parts.values():
        for why, names in part.passed_over.items():
            passed_over.setdefault(why, []).extend(names)
    return Samples(
        images=Row([part.images for part in parts.values()]),
        labels=np.concatenate([part.labels + offset for part, offset in zip(parts.values(), offsets, strict=False)]),
        classes=[_class_of(name, own) for name, part in parts.items() for own in part.classes],
        passed_over=passed_over,
    )


class Row(Sequence):
    """Some sequences of images, one after the other."""

    def __init__(self, parts: Sequence[Sequence[Image]]):
        self.parts, self.ends = parts, list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: int) -> Image:
        if not 0 <= index < len(self):
            raise IndexError(index)
        place = bisect_right(self.ends, index)
        return self.parts[place][index - (self.ends[place] - len(self.parts[place]))]


def without_parts(entry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The entries of the config's `datasets`, none of them a mixture, that an entry's images come from.

    entry: of a validated config; it is its own where it is no mixture.
    """
    if entry["kind"] != KIND:
        yield entry
        return
    for part in entry["parts"].values():
        yield from without_parts(part)


def own_classes(part: str, classes: Sequence[str]) -> list[str]:
    """Those of a mixture's classes that are of one part, by the part's own names.

    >>> own_classes("digits", ["digits: 3", "glyphs: A"])
    ['3']
    """
    start = _class_of(part, "")
    return [name.removeprefix(start) for name in classes if name.startswith(start)]


def _class_of(part: str, name: str) -> str:
    return f"{part}: {name}"
