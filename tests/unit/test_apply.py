"""A mask is on a backbone for the duration of a block, and what was there before is there again, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from unit.networks import BACKBONES, backbone_of, head_of, images_of, state_of, weights_of

from prunetransfer.models.backbones import Backbone
from prunetransfer.pruning.apply import load_mask, pruned, restored
from prunetransfer.pruning.masks import write_mask
from prunetransfer.recovery.batchnorm import batchnorm
from prunetransfer.recovery.case import Case


class Stopped(Exception):
    """An error in the midst of a block."""


def half_of(backbone: Backbone) -> dict[str, Tensor]:
    """A mask of about half of each layer."""
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(w.shape, generator=generator) < 0.5 for name, w in weights_of(backbone).items()}


def bits_of(backbone: Backbone) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in state_of(backbone).items()}


@pytest.mark.parametrize("kind", BACKBONES)
@pytest.mark.parametrize("error", [None, Stopped], ids=["no error", "an error"])
def test_weights_are_pruned_inside_and_the_same_bits_afterwards(kind, error):
    backbone = backbone_of(kind)
    with torch.no_grad():
        list(backbone.prunable().values())[-1][0, :2] = torch.tensor([-0.0, 1e-42])  # what a product may lose
    before, dense, mask = bits_of(backbone), state_of(backbone), half_of(backbone)
    try:
        with pruned(backbone, mask):
            for name, tensor in backbone.network.state_dict().items():
                expected = torch.where(mask[name], dense[name], 0) if name in mask else dense[name]
                assert torch.equal(tensor, expected), name
            if error:
                raise error
    except Stopped:
        pass
    assert bits_of(backbone) == before


def test_a_share_of_each_pruned_weight_is_taken_away():
    backbone = backbone_of()
    dense, mask = state_of(backbone), half_of(backbone)
    with pruned(backbone, mask, share=0.25):
        for name, weight in weights_of(backbone).items():
            assert torch.equal(weight, torch.where(mask[name], dense[name], 0.75 * dense[name])), name


def test_a_mask_of_another_backbone_is_refused_and_leaves_the_weights():
    backbone = backbone_of("conv")
    before = bits_of(backbone)
    with pytest.raises(ValueError, match="mask and backbone differ in what is prunable"), pruned(backbone, {}):
        pytest.fail("there was nothing to prune by")
    assert bits_of(backbone) == before


@pytest.mark.parametrize("error", [None, Stopped], ids=["no error", "an error"])
def test_every_parameter_and_buffer_is_restored(error):
    backbone = backbone_of("conv")
    before, head = bits_of(backbone), head_of(backbone)
    try:
        with restored(backbone):
            batchnorm(Case(backbone, backbone, {}, head, images_of(6), 0), samples=6)
            with torch.no_grad():
                backbone.network.fc.bias += 1
            assert len({*before.items(), *bits_of(backbone).items()}) == len(before) + 4
            if error:
                raise error
    except Stopped:
        pass
    assert bits_of(backbone) == before


def test_a_mask_from_a_file_fits(tmp_path):
    backbone = backbone_of("conv")
    keep = {name: np.zeros(weight.shape, dtype=bool) for name, weight in backbone.prunable().items()}
    keep["fc.weight"][0, 1] = True
    write_mask(tmp_path / "mask", keep, {})
    backbone.prune(load_mask(tmp_path / "mask", torch.device("cpu")))
    assert sum(int(weight.count_nonzero()) for weight in backbone.prunable().values()) == 1
