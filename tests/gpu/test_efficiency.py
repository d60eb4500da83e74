"""Kernels for two weights of four, which no CPU has."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from prunetransfer.efficiency import kernels
from prunetransfer.efficiency.measure import Comparison
from prunetransfer.models.backbones import Backbone

pytestmark = pytest.mark.gpu
SIZE = 16


def test_half_of_the_weights_are_multiplied_by_the_kernels_for_them(gpu):
    if not kernels.has_kernels(gpu):
        pytest.skip("the GPU has no kernels for two weights of four")
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, 256), nn.GELU(), nn.Linear(256, 128))
    backbone = Backbone(network, [0.5] * 3, [0.25] * 3).to(gpu)
    comparison = Comparison(backbone, SIZE, [32], seconds=0.1)
    with torch.no_grad():
        for layer in (network[1], network[3]):
            layer.weight.mul_(torch.tensor([1.0, 0.0, 0.0, 1.0], device=gpu).repeat(layer.weight.shape[1] // 4))
    assert kernels.sparse_layers(backbone) == ["1", "3"]
    inputs = comparison.inputs.half()
    with torch.inference_mode():
        expected = kernels.halved(backbone, [])(inputs)
        found = kernels.halved(backbone, ["1", "3"])(inputs)
    assert (found - expected).norm() <= 1e-2 * expected.norm()
    (row,) = comparison.rows(backbone)
    assert row["precision"] == "float16" and row["speed_up"] > 0
