"""A mask on a backbone, for as long as the pruned backbone is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from prunetransfer.models.backbones import Backbone
from prunetransfer.pruning.masks import Mask, read_mask


@contextmanager
def restored(backbone: Backbone) -> Iterator[None]:
    """Undo, bit for bit, whatever happens to the network's parameters and buffers meanwhile, also after an error."""
    state = {name: tensor.clone() for name, tensor in backbone.network.state_dict().items()}
    try:
        yield
    finally:
        backbone.network.load_state_dict(state)


@contextmanager
def pruned(backbone: Backbone, mask: Mapping[str, Tensor], share: float = 1.0) -> Iterator[None]:
    """Prune the backbone by a mask and restore it at the end, bit for bit, also after an error.

    mask, share: as of `Backbone.prune`, which raises ValueError for a mask of another backbone.

    >>> backbone = Backbone(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 2)), [0.5] * 3, [0.5] * 3)
    >>> weight = backbone.prunable()["1.weight"]
    >>> with pruned(backbone, {"1.weight": torch.tensor([[True, False, False]] * 2)}):
    ...     int(weight.count_nonzero())
    2
    >>> int(weight.count_nonzero())
    6
    """
    with restored(backbone):
        backbone.prune(mask, share)
        yield


def mask_tensors(mask: Mask, device: torch.device) -> dict[str, Tensor]:
    """A mask as bool tensors on `device`."""
    return {name: torch.from_numpy(keep).to(device) for name, keep in mask.items()}


def load_mask(path: str | Path, device: torch.device) -> dict[str, Tensor]:
    """The mask of a file as bool tensors on `device`. Raises ArtifactError if the file holds none."""
    return mask_tensors(read_mask(path), device)
