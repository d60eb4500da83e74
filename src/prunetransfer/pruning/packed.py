"""Tensors with a mask in fewer bytes: one bit a weight, and the values that stay. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from prunetransfer.pruning.masks import Mask


def packed(tensors: Mapping[str, np.ndarray], mask: Mask) -> tuple[dict[str, np.ndarray], dict[str, tuple[int, ...]]]:
    """The tensors as they are stored, and the shapes of those that became two: `NAME/mask`, bits, and `NAME/kept`.

    A tensor is stored so where the mask has it and that takes fewer bytes. No name of a tensor has a slash.
    """
    stored, shapes = {}, {}
    for name, values in tensors.items():
        keep = mask.get(name)
        if keep is not None and len(bits := np.packbits(keep)) + values[keep].nbytes < values.nbytes:
            stored |= {f"{name}/mask": bits, f"{name}/kept": values[keep]}
            shapes[name] = values.shape
        else:
            stored[name] = values
    return stored, shapes
