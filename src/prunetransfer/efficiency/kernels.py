"""Kernels for two weights of four: what a GPU has for zeros that leave the tensors' shapes alone."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.sparse import to_sparse_semi_structured

from prunetransfer.models.backbones import Backbone

CAPABILITY = (8, 0)  # of the first GPUs that have these kernels (Ampere)
MULTIPLES = (32, 64)  # of rows and columns: what the kernels take in half precision


def sparse_layers(backbone: Backbone) -> list[str]:
    """The linear layers that such kernels can compute; none unless all prunable ones have two weights of four.

    Two of four: of any four consecutive numbers of a row, starting at every fourth, at least two are 0.
    """
    prunable = {id(weight) for weight in backbone.prunable().values()}
    layers = {
        name: layer.weight.detach()
        for name, layer in backbone.network.named_modules()
        if isinstance(layer, nn.Linear) and id(layer.weight) in prunable
    }
    if not all(map(_two_of_four, layers.values())):
        return []
    fits = {name: all(n % k == 0 for n, k in zip(w.shape, MULTIPLES, strict=True)) for name, w in layers.items()}
    return [name for name in layers if fits[name]]


def has_kernels(device: torch.device) -> bool:
    """Does the device have them?"""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= CAPABILITY


def halved(backbone: Backbone, sparse: list[str]) -> nn.Module:
    """A copy of the network in half precision, the layers of these names in the form that the kernels read."""
    network = copy.deepcopy(backbone.network).half()
    for name in sparse:
        layer = network.get_submodule(name)
        layer.weight = nn.Parameter(to_sparse_semi_structured(layer.weight.detach()), requires_grad=False)
    return network


def _two_of_four(weight: Tensor) -> bool:
    rows, columns = weight.shape
    return columns % 4 == 0 and bool((weight.reshape(rows, -1, 4).count_nonzero(2) <= 2).all())
