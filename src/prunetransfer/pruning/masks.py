"""Masks c: which weights stay at sparsity q. NumPy only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from prunetransfer.stages.jobs import Job
from prunetransfer.storage.artifacts import ArtifactError, read_metadata, read_tensors, write_tensors

Mask = dict[str, np.ndarray]

# What a mask was asked to be, and what became of it: in its file, and in that of weights which were recovered with it.
ASKED = ("mask", "sparsity")
DESCRIBED_BY = (*ASKED, "achieved_sparsity")


def global_mask(scores: Mapping[str, np.ndarray], sparsity: float) -> Mask:
    """Prune the round(q·p) weights of lowest score across all layers; name → bool array, True where a weight stays.

    Among equal scores the earlier weight goes first (layers in the order of `scores`), so exactly round(q·p) weights
    go whatever the ties, and the masks of growing sparsities nest. Raises ValueError for a sparsity outside [0, 1) and
    for a score that is NaN, infinite or negative, naming the layer.

    >>> global_mask({"first": np.array([3.0, 1.0]), "second": np.array([2.0, 0.0])}, 0.5)
    {'first': array([ True, False]), 'second': array([ True, False])}
    """
    check_scores(scores)
    return lowest_mask(scores, sparsity)


def lowest_mask(
    values: Mapping[str, np.ndarray], sparsity: float, stays: Mapping[str, np.ndarray] | None = None
) -> Mask:
    """Prune the round(q·p) weights of lowest value across all layers, as `global_mask` does with scores.

    stays: name → bool array, True for weights that are never pruned. Raises ValueError for a sparsity outside [0, 1),
    and where fewer weights than that may be pruned.
    """
    check_sparsity(sparsity)
    flat = np.concatenate([of_layer.ravel() for of_layer in values.values()])
    keep = np.ones(flat.size, dtype=bool)
    count = round(sparsity * flat.size)
    free = np.arange(flat.size)
    if stays is not None:
        free = np.flatnonzero(~np.concatenate([stays[name].ravel() for name in values]))
    if count > free.size:
        raise ValueError(
            f"sparsity {sparsity}: the layers may lose at most {free.size / flat.size:.4f} of the weights in all"
        )
    if count:
        of_free = flat[free]
        threshold = np.partition(of_free, count - 1)[count - 1]
        below = of_free < threshold
        keep[free[below]] = False
        keep[free[of_free == threshold][: count - np.count_nonzero(below)]] = False
    ends = np.cumsum([of_layer.size for of_layer in values.values()])
    return {
        name: part.reshape(of_layer.shape)
        for (name, of_layer), part in zip(values.items(), np.split(keep, ends[:-1]), strict=True)
    }


def check_scores(scores: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError, naming the layer, for a score that is NaN, infinite or negative."""
    for name, values in scores.items():
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise ValueError(f"scores of {name}: every score must be finite and at least 0")


def check_sparsity(sparsity: float) -> None:
    """Raise ValueError for one outside [0, 1)."""
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity {sparsity}: must be at least 0 and below 1")


def achieved_sparsity(mask: Mask) -> float:
    """The share of weights that the mask removes.

    >>> print(achieved_sparsity({"first": np.array([True, False]), "second": np.array([False, False])}))
    0.75
    """
    return 1 - sum(np.count_nonzero(keep) for keep in mask.values()) / sum(keep.size for keep in mask.values())


def write_mask(path: str | os.PathLike, mask: Mask, metadata: Mapping[str, Any]) -> None:
    """Write a mask at one bit a weight; the layers' shapes stand in the file's metadata."""
    shapes = {name: keep.shape for name, keep in mask.items()}
    packed = {name: np.packbits(keep) for name, keep in mask.items()}
    write_tensors(path, packed, {**metadata, "shapes": shapes, "achieved_sparsity": achieved_sparsity(mask)})


def read_mask(path: str | os.PathLike) -> Mask:
    """The mask of a file that `write_mask` wrote, layers in their order. Raises ArtifactError if it is not one."""
    packed, shapes = read_tensors(path), read_metadata(path).get("shapes", {})
    if shapes.keys() != packed.keys():
        raise ArtifactError(f"{path}: not a mask: its layers and their shapes differ")
    return {
        name: np.unpackbits(bits, count=int(np.prod(shapes[name]))).astype(bool).reshape(shapes[name])
        for name, bits in packed.items()
    }


def mask_columns(path: str | os.PathLike) -> dict[str, Any]:
    """The key columns of a mask, by its file or that of weights recovered with it: those of the job, and of ASKED."""
    record = read_metadata(path)
    return Job.parse(record["wildcards"]).key_columns | {name: record[name] for name in ASKED}


def layer_counts(mask: Mask) -> list[dict[str, Any]]:
    """One row a layer, in order: layer, depth (from 0), weights, pruned, and the layer's own sparsity."""
    return [
        {
            "layer": name,
            "depth": depth,
            "weights": keep.size,
            "pruned": keep.size - np.count_nonzero(keep),
            "layer_sparsity": 1 - np.count_nonzero(keep) / keep.size,
        }
        for depth, (name, keep) in enumerate(mask.items())
    ]
