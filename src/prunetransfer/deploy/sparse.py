"""The format `sparse`: of a pruned layer, one bit a weight and the values that stay, where that takes fewer bytes."""

from __future__ import annotations

from pathlib import Path

from prunetransfer.deploy.pruned import PrunedModel
from prunetransfer.pruning.packed import packed
from prunetransfer.storage.artifacts import write_tensors


def write_sparse(folder: Path, model: PrunedModel) -> None:
    """Write `model.sparse.safetensors`, all tensors of the model; the card says how they become whole again."""
    stored, shapes = packed({name: tensor.numpy() for name, tensor in model.tensors().items()}, model.mask)
    write_tensors(folder / "model.sparse.safetensors", stored, {"shapes": shapes})
