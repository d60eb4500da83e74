"""Prepared splits as tensors, memory-mapped, and draws from them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from prunetransfer.storage.artifacts import ArtifactError, check, read_metadata


@dataclass(frozen=True)
class Split:
    """One prepared split: images uint8 [n, size, size, 3], labels int64 [n] (indices into `classes`).

    classes_before: as of `Samples`.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    classes_before: tuple[tuple[str, ...], ...] = ()


def read_split(path: str | os.PathLike) -> Split:
    """Open a file of `write_split`; pixels are read when they are used. Raises ArtifactError for any other file."""
    check(path)
    metadata = read_metadata(path)
    tensors = load_file(path)
    if not {"classes", "classes_before"} <= metadata.keys() or tensors.keys() != {"images", "labels"}:
        raise ArtifactError(f"{path}: not a prepared split (tensors: {', '.join(sorted(tensors)) or 'none'})")
    before = tuple(map(tuple, metadata["classes_before"]))
    return Split(tensors["images"], tensors["labels"], tuple(metadata["classes"]), before)


def balanced_subset(labels: Tensor, count: int, seed: int) -> Tensor:
    """Indices (int64, ascending) of min(count, n) images, drawn without replacement.

    Classes are as equal as their sizes allow: what a small class lacks, the others fill. With one seed, a smaller draw
    is part of a larger one. Raises ValueError if `count` is not positive.
    """
    order = _shuffled(labels, count, seed)
    shuffled = labels[order]
    sizes = shuffled.bincount()
    by_class = shuffled.argsort(stable=True)
    place_in_class = torch.empty_like(order)
    place_in_class[by_class] = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes)[shuffled[by_class]]
    return order[place_in_class.argsort(stable=True)[:count]].sort().values


def uniform_subset(labels: Tensor, count: int, seed: int) -> Tensor:
    """As `balanced_subset`, but every image is as likely as any other, whatever its class."""
    return _shuffled(labels, count, seed)[:count].sort().values


SAMPLINGS = {"balanced": balanced_subset, "uniform": uniform_subset}


def draw_images(
    split: Split, count: int, sampling: str, seed: int, beside: Sequence[Split] = ()
) -> tuple[Split, dict[str, Any]]:
    """min(count, n) images drawn by one of SAMPLINGS, and the record of the draw: how, its seed, images a class.

    beside: splits of which as many are drawn in the same way, and which the images drawn are joined with.
    """
    drawn = [_part(each, SAMPLINGS[sampling](each.labels, count, seed)) for each in (split, *beside)]
    record = {"sampling": sampling, "seed": seed, "per_class": _per_class(drawn[0])}
    if beside:
        record["beside"] = [_per_class(each) for each in drawn[1:]]
    return joined(drawn), {"images": record}


def _part(split: Split, chosen: Tensor) -> Split:
    return Split(split.images[chosen], split.labels[chosen], split.classes)


def _per_class(split: Split) -> dict[str, int]:
    return dict(zip(split.classes, split.labels.bincount(minlength=len(split.classes)).tolist(), strict=True))


def joined(splits: Sequence[Split]) -> Split:
    """The images of all, in order; the classes of each follow those of the one before. Raises ValueError where the
    images differ in size."""
    if len(splits) == 1:
        return splits[0]
    if len({split.images.shape[1:] for split in splits}) > 1:
        sizes = " and ".join("×".join(map(str, split.images.shape[1:3])) for split in splits)
        raise ValueError(f"images that are used together must be of one size, not {sizes}")
    before = [sum(len(split.classes) for split in splits[:k]) for k in range(len(splits))]
    return Split(
        torch.cat([split.images for split in splits]),
        torch.cat([split.labels + first for split, first in zip(splits, before, strict=True)]),
        tuple(name for split in splits for name in split.classes),
    )


def _shuffled(labels: Tensor, count: int, seed: int) -> Tensor:
    """All indices in random order, where it makes sense to draw `count` of them."""
    if count < 1:
        raise ValueError(f"cannot draw {count} images: at least 1")
    return torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
