"""What pre-training and fine-tuning share: losses with smoothed labels, optimisers, augmentation."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from unit.networks import backbone_of, images_of

from prunetransfer.losses import cross_entropy, squared
from prunetransfer.training import crop_and_flip, make_optimizer


def crops(images: torch.Tensor, least: float) -> torch.Tensor:
    return crop_and_flip(images, least, torch.Generator().manual_seed(0))


def test_smoothed_labels_spread_over_all_classes():
    outputs, labels = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 3, 1, 1, 2])
    targets = 0.9 * F.one_hot(labels, 4) + 0.1 / 4
    torch.testing.assert_close(squared(outputs, labels, 0.1), 0.5 * (outputs - targets).square().sum(1))
    torch.testing.assert_close(cross_entropy(outputs, labels, 0.1), -(targets * outputs.log_softmax(1)).sum(1))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_only_convolutions_and_linears_decay(name):
    backbone = backbone_of("vit")
    decayed, rest = make_optimizer(backbone, name, 0.1, 0.9, 0.01).param_groups
    names = {id(parameter): name for name, parameter in backbone.network.named_parameters()}
    assert {names[id(parameter)] for parameter in decayed["params"]} == backbone.prunable().keys()
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.01, 0)
    assert len(decayed["params"]) + len(rest["params"]) == len(names)


def test_the_whole_image_comes_back_as_it_was_or_mirrored():
    images = images_of(40).images
    found = crops(images[:, :, :1].expand(-1, -1, 8, -1), 1.0)  # columns alike: only rows are told apart
    assert found.dtype == torch.float32 and found.shape == images.shape
    ramp = torch.arange(8.0).view(1, 1, 8, 1).expand(30, 8, 8, 3).to(torch.uint8)
    rising = crops(ramp, 0.99).diff(dim=2).mean((1, 2, 3)) > 0
    assert 5 < rising.sum() < 25


def test_crops_are_as_large_as_asked_and_lie_anywhere():
    n, size = 400, 64
    ramp = torch.linspace(0, 255, size).round().to(torch.uint8)
    rows, columns = ramp.view(1, size, 1, 1), ramp.view(1, 1, size, 1)
    width = crops(columns.expand(n, size, size, 3), 0.25)[:, 32, :, 0]
    height = crops(rows.expand(n, size, size, 3), 0.25)[:, :, 32, 0]  # one seed: the same crops
    wide, high = ((part[:, -1] - part[:, 0]).abs() / 255 for part in (width, height))
    area = wide * high
    assert 0.2 < area.min() < 0.35 and area.max() > 0.9
    assert ((wide / high > 0.7) & (wide / high < 1.43)).all()
    centres = width.mean(1) / 255
    assert centres.min() < 0.35 and centres.max() > 0.65


def test_crops_are_drawn_from_the_generator_alone():
    images = images_of(10).images
    torch.manual_seed(1)
    first = crops(images, 0.5)
    torch.manual_seed(2)
    assert torch.equal(crops(images, 0.5), first)
