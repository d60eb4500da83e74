"""The format `sparse`: of a pruned layer, one bit a weight and the values that stay, where that takes fewer bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prunetransfer.deploy.pruned import PrunedModel
from prunetransfer.storage.artifacts import write_tensors


def write_sparse(folder: Path, model: PrunedModel) -> None:
    """Write `model.sparse.safetensors`, all tensors of the model; the card says how they become whole again.

    No name of a tensor has a slash, so `NAME/mask` and `NAME/kept` are those of the tensor NAME.
    """
    stored, shapes = {}, {}
    for name, tensor in model.tensors().items():
        values, keep = tensor.numpy(), model.mask.get(name)
        if keep is not None and len(bits := np.packbits(keep)) + values[keep].nbytes < values.nbytes:
            stored |= {f"{name}/mask": bits, f"{name}/kept": values[keep]}
            shapes[name] = values.shape
        else:
            stored[name] = values
    write_tensors(folder / "model.sparse.safetensors", stored, {"shapes": shapes})
