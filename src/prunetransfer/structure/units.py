"""Which weights go with each channel, hidden unit or attention head. NumPy only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    numbers is multiplied for one image. image: the shape of that image, as the network was given it.

    No row and no column of a weight belongs to two units, but a row and a column cross.
    """

    families: Sequence[Family]
    shapes: Mapping[str, tuple[int, ...]]
    uses: Mapping[str, int]
    image: Sequence[int] = (3, 224, 224)


def mask_without(units: Units, gone: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Name → bool array of each prunable weight, False on all that goes with a unit.

    gone: a bool array for each family, True where a unit goes.

    >>> family = Family("conv", {("conv", 0): np.array([[0], [1]]), ("next", 1): np.array([[0], [1]])})
    >>> units = Units([family], {"conv": (2, 3), "next": (1, 2)}, {"conv": 1, "next": 1})
    >>> mask_without(units, [np.array([False, True])])["next"]
    array([[ True, False]])
    """
    mask = {name: np.ones(shape, dtype=bool) for name, shape in units.shapes.items()}
    for family, away in zip(units.families, gone, strict=True):
        for (weight, axis), indices in family.members.items():
            mask[weight][(slice(None),) * axis + (indices[away].ravel(),)] = False
    return mask


def removed(units: Units, mask: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """A bool array for each family, True where the mask takes the whole unit: all its rows and all its columns."""
    stays = {
        (weight, axis): mask[weight].any(axis=tuple(a for a in range(mask[weight].ndim) if a != axis))
        for family in units.families
        for weight, axis in family.members
    }
    return [
        ~np.any([stays[place][indices].any(axis=1) for place, indices in family.members.items()], axis=0)
        for family in units.families
    ]


def over_units(family: Family, numbers: Mapping[str, Any]) -> Any:
    """The sums of numbers over the distinct weights of each unit: [..., units].

    numbers: weight → array or tensor [..., rows, columns] for each weight of the family, summed over the kernel. What
    lies in a row and in a column of the same unit is counted once.
    """
    total = 0
    for (weight, axis), indices in family.members.items():
        values = numbers[weight]
        total = total + values.sum(-1 if axis == 0 else -2)[..., indices].sum(-1)
        if axis == 1 and (weight, 0) in family.members:
            rows = family.members[weight, 0][:, :, None]
            total = total - values[..., rows, indices[:, None, :]].sum((-2, -1))
    return total


def summed(units: Units, scores: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """For each family the sum of scores over the distinct weights of each unit: float64 [units].

    scores: name → one number for each prunable weight. Of `magnitude` the sum is ½ ‖w_g‖², of `diagonal`
    Σ_j∈g ½ w_j² F_jj: the loss increase when all of g goes and curvature is diagonal.
    """
    numbers = {
        name: values.reshape(*values.shape[:2], -1).sum(axis=-1, dtype=np.float64) for name, values in scores.items()
    }
    return [over_units(family, numbers) for family in units.families]


def write_units(path: str | os.PathLike, units: Units) -> None:
    """Write them to a file that `read_units` reads."""
    tensors = {
        f"{place}/{axis}/{weight}": indices
        for place, family in enumerate(units.families)
        for (weight, axis), indices in family.members.items()
    }
    names = [family.name for family in units.families]
    record = {"shapes": dict(units.shapes), "uses": dict(units.uses), "image": list(units.image)}
    write_tensors(path, tensors, {"families": names, **record})


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
    return Units(families, shapes, metadata["uses"], tuple(metadata["image"]))
