"""Which weights go with each channel, hidden unit or attention head. NumPy only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prunetransfer.storage.artifacts import ArtifactError, read_metadata, read_tensors, write_tensors


@dataclass(frozen=True)
class Family:
    """Units that can go one by one: the channels of a stream, the hidden units of an MLP, the heads of an attention.

    name: of the weight whose rows it numbers. members: (weight, axis) → int64 [units, r], the r indices of each unit
    along that axis, 0 for the rows that write it and 1 for the columns that read it.
    """

    name: str
    members: Mapping[tuple[str, int], np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.members.values())))


@dataclass(frozen=True)
class Units:
    """All families of a backbone. shapes: prunable weight → its shape. uses: prunable weight → how often each of its
    numbers is multiplied for one image."""

    families: Sequence[Family]
    shapes: Mapping[str, tuple[int, ...]]
    uses: Mapping[str, int]


def write_units(path: str | os.PathLike, units: Units) -> None:
    """Write them to a file that `read_units` reads."""
    tensors = {
        f"{place}/{axis}/{weight}": indices
        for place, family in enumerate(units.families)
        for (weight, axis), indices in family.members.items()
    }
    names = [family.name for family in units.families]
    write_tensors(path, tensors, {"families": names, "shapes": dict(units.shapes), "uses": dict(units.uses)})


def read_units(path: str | os.PathLike) -> Units:
    """The units of a file. Raises ArtifactError if it holds none."""
    metadata = read_metadata(path)
    if "families" not in metadata:
        raise ArtifactError(f"{path}: holds no units")
    members: list[dict[tuple[str, int], np.ndarray]] = [{} for _ in metadata["families"]]
    for key, indices in read_tensors(path).items():
        place, axis, weight = key.split("/", 2)
        members[int(place)][weight, int(axis)] = indices
    families = [Family(name, of) for name, of in zip(metadata["families"], members, strict=True)]
    shapes = {name: tuple(shape) for name, shape in metadata["shapes"].items()}
    return Units(families, shapes, metadata["uses"])
