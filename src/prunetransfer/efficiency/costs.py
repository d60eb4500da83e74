"""What a network takes, whatever it runs on: parameters, multiply-adds, bytes of its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from prunetransfer.models.backbones import Backbone
from prunetransfer.pruning.packed import packed


@dataclass(frozen=True)
class Costs:
    """parameters: numbers that a gradient could change, and nonzero: those that are not 0. multiply_adds: of one image.

    bytes: of a safetensors file with all tensors of the network in full and no metadata. sparse_bytes: of one with the
    same tensors as the format `sparse` of an export has them (`pruning.packed`), a bit a prunable weight and those that
    are not 0, where that takes less.
    """

    parameters: int
    nonzero: int
    multiply_adds: int
    bytes: int
    sparse_bytes: int


def costs_of(backbone: Backbone, image: Tensor) -> Costs:
    """The costs of a backbone's network. image: what the network is given of one, float [1, 3, h, w].

    Zeros in full-size tensors are multiplied like any other numbers, and count among the multiply-adds.
    """
    parameters = list(backbone.network.parameters())
    tensors = {name: tensor.numpy(force=True) for name, tensor in backbone.network.state_dict().items()}
    keep = {name: tensors[name] != 0 for name in backbone.prunable()}
    return Costs(
        parameters=sum(weight.numel() for weight in parameters),
        nonzero=sum(int(weight.count_nonzero()) for weight in parameters),
        multiply_adds=multiply_adds(backbone.network, image),
        bytes=file_bytes(tensors),
        sparse_bytes=file_bytes(packed(tensors, keep)[0]),
    )


@torch.no_grad()
def multiply_adds(network: nn.Module, inputs: Tensor) -> int:
    """Multiplications, each with its addition, of the convolutions and products of matrices in one forward pass.

    Those of attention count; element-wise operations, norms and biases do not.
    """
    with FlopCounterMode(display=False) as counter:
        network(inputs)
    return counter.get_total_flops() // 2


def file_bytes(tensors: Mapping[str, np.ndarray]) -> int:
    """Bytes of a safetensors file with these tensors and no metadata."""
    return len(save({name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}))
