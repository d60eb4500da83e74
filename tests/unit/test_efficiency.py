"""What networks take, and how their times are compared."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from unit.networks import CLASSES, SIZE, backbone_of, state_of

from prunetransfer.efficiency.costs import costs_of, file_bytes, multiply_adds
from prunetransfer.efficiency.latency import ROUNDS, WARM_UP, in_turns, summary
from prunetransfer.efficiency.measure import Comparison, deployed
from prunetransfer.models.backbones import Backbone
from prunetransfer.pruning.masks import global_mask
from prunetransfer.storage.schemas.columns import keys
from prunetransfer.storage.schemas.efficiency import MEASURED

# Of 8×8 images: two convolutions of stride 2, to 4×4 and 2×2 positions, and a linear layer.
CONV_PRODUCTS = 4 * 4 * 4 * (3 * 9) + 2 * 2 * 6 * (4 * 9) + 5 * 6
OF_JOB = {*keys(MEASURED)} - {"batch_size"}


def half_mask(backbone: Backbone) -> dict[str, np.ndarray]:
    return global_mask({name: w.detach().abs().numpy() for name, w in backbone.prunable().items()}, 0.5)


def image_of(backbone: Backbone) -> torch.Tensor:
    return backbone.inputs(backbone.noise((1, SIZE, SIZE, 3), torch.Generator()))


def test_costs_are_those_counted_by_hand():
    backbone = backbone_of("conv")
    costs = costs_of(backbone, image_of(backbone))
    prunable = 4 * 27 + 6 * 36 + 5 * 6
    assert costs.parameters == costs.nonzero == prunable + 4 + 2 * 4 + 5  # biases and a norm's two
    assert costs.multiply_adds == CONV_PRODUCTS


def test_zeros_in_full_size_tensors_save_bytes_of_the_sparse_format_alone():
    backbone = backbone_of("conv")
    dense = costs_of(backbone, image_of(backbone))
    mask = half_mask(backbone)
    pruned = costs_of(deployed(backbone, mask, None), image_of(backbone))
    removed = sum(int((~keep).sum()) for keep in mask.values())
    assert pruned.nonzero == dense.nonzero - removed
    same = ("parameters", "multiply_adds", "bytes")
    assert [getattr(pruned, name) for name in same] == [getattr(dense, name) for name in same]
    assert pruned.sparse_bytes < dense.sparse_bytes == dense.bytes


def test_attention_counts_among_the_multiply_adds():
    backbone = backbone_of("vit")  # 4 patches of 4×4 pixels and a class token, width 12, one block
    patches = 4 * 12 * (3 * 16)
    block = 5 * 12 * 36 + 2 * (5 * 5 * 12) + 5 * 12 * 12 + 2 * (5 * 12 * 24)
    assert multiply_adds(backbone.network, image_of(backbone)) == patches + block


def test_bytes_are_those_of_the_file(tmp_path):
    tensors = {name: tensor.contiguous() for name, tensor in state_of(backbone_of("conv")).items()}
    save_file(tensors, tmp_path / "net.safetensors")
    found = file_bytes({name: tensor.numpy() for name, tensor in tensors.items()})
    assert found == (tmp_path / "net.safetensors").stat().st_size


def test_two_calls_take_turns_until_the_time_is_over():
    calls: list[str] = []
    ticks = count()
    rounds = in_turns(lambda: calls.append("a"), lambda: calls.append("b"), 30, clock=lambda: float(next(ticks)))
    assert calls == ["a", "b"] * (WARM_UP + len(rounds))
    assert set(rounds) == {(1.0, 1.0)}
    assert len(rounds) == 10  # of three ticks each


def test_slow_calls_are_measured_a_few_times_all_the_same():
    ticks = count(0, 1000)
    assert len(in_turns(lambda: None, lambda: None, 1, clock=lambda: float(next(ticks)))) == ROUNDS


def test_a_speed_up_is_the_median_of_the_rounds_own():
    # In the third round the machine was slow for both: the ratio does not see it.
    found = summary([(2.0, 1.0), (4.0, 2.0), (30.0, 10.0), (4.0, 4.0), (1.0, 2.0)])
    assert found == {
        "rounds": 5,
        "latency_ms": 2000,
        "dense_latency_ms": 4000,
        "speed_up": 2,
        "speed_up_low": 1,
        "speed_up_high": 2,
    }


def test_a_network_beside_itself_has_times_that_are_positive_and_finite():
    backbone = backbone_of("conv")
    rows = Comparison(backbone, SIZE, [1, 3], seconds=0.01).rows(deployed(backbone, half_mask(backbone), None))
    assert [row["batch_size"] for row in rows] == [1, 3]
    assert all({*row} == {*MEASURED.names} - OF_JOB for row in rows)
    for row in rows:
        numbers = [value for value in row.values() if not isinstance(value, str)]
        assert np.isfinite(numbers).all() and min(numbers) > 0
        assert row["speed_up_low"] <= row["speed_up"] <= row["speed_up_high"]
        assert row["device"] == "cpu"


def test_a_smaller_network_has_costs_of_its_own():
    def of_width(width: int) -> Backbone:
        network = nn.Sequential(nn.Conv2d(3, width, 1), nn.Flatten(), nn.Linear(width * SIZE**2, CLASSES))
        return Backbone(network, [0.5] * 3, [1.0] * 3)

    dense, small = of_width(8), of_width(2)
    (row,) = Comparison(dense, SIZE, [2], seconds=0.01).rows(small)
    assert row["multiply_adds"] == SIZE**2 * (3 * 2 + 2 * CLASSES) == row["dense_multiply_adds"] / 4
    assert row["parameters"] < row["dense_parameters"] and row["bytes"] < row["dense_bytes"]


def test_the_dense_backbone_stays_as_it_was():
    backbone = backbone_of("conv")
    before = state_of(backbone)
    deployed(backbone, half_mask(backbone), None)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.network.state_dict().items())
    with pytest.raises(ValueError, match="differ in what is prunable"):
        deployed(backbone, {}, None)
