"""What pre-training and fine-tuning share: losses with smoothed labels, optimisers, augmentation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from unit.networks import backbone_of, images_of

from prunetransfer.heads.losses import cross_entropy, squared
from prunetransfer.training.augmentation import YIQ, crop_and_flip, jitter_colours, random_view, shift_and_flip
from prunetransfer.training.optimizers import make_optimizer


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


def test_a_crop_may_have_another_size_and_at_most_a_share_of_the_area():
    n, size = 200, 64
    ramp = torch.linspace(0, 255, size).round().to(torch.uint8).view(1, 1, size, 1).expand(n, size, size, 3)
    found = crop_and_flip(ramp, 0.05, torch.Generator().manual_seed(0), most=0.3, size=16)
    assert found.shape == (n, 16, 16, 3)
    assert (found[:, 8, -1, 0] - found[:, 8, 0, 0]).abs().max() / 255 < (0.3 * 4 / 3) ** 0.5


def moved(image: np.ndarray, dy: int, dx: int, flip: bool) -> np.ndarray:
    """The image seen through a window shifted by (dy, dx) over its mirrored surroundings."""
    height, width, _ = image.shape
    wide = np.pad(image, ((abs(dy), abs(dy)), (abs(dx), abs(dx)), (0, 0)), mode="reflect")
    window = wide[abs(dy) + dy :, abs(dx) + dx :][:height, :width]
    return window[:, ::-1] if flip else window


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_augmentation_shifts_and_mirrors_and_nothing_else(shift):
    image = torch.arange(6 * 7 * 3, dtype=torch.uint8).view(6, 7, 3)
    shifts = range(-shift, shift + 1)
    allowed = {moved(image.numpy(), dy, dx, flip).tobytes() for dy in shifts for dx in shifts for flip in (False, True)}
    assert len(allowed) == 2 * len(shifts) ** 2
    found = shift_and_flip(image.expand(800, 6, 7, 3), shift, torch.Generator().manual_seed(0))
    assert found.dtype == torch.uint8
    assert {one.numpy().tobytes() for one in found} == allowed


def test_each_image_is_augmented_on_its_own():
    images = images_of(50).images
    found = shift_and_flip(images, 2, torch.Generator().manual_seed(0))
    for image, one in zip(images.numpy(), found.numpy(), strict=True):
        variants = [moved(image, dy, dx, f) for dy in range(-2, 3) for dx in range(-2, 3) for f in (False, True)]
        assert any((one == variant).all() for variant in variants)
    assert torch.equal(shift_and_flip(images, 2, torch.Generator().manual_seed(0)), found)


# --- colours ----------------------------------------------------------------------------------------------------------


def colours(images: torch.Tensor, **probabilities) -> torch.Tensor:
    return jitter_colours(images, torch.Generator().manual_seed(0), **probabilities)


def test_colours_stay_where_nothing_is_drawn():
    images = images_of(20).images.float()
    torch.testing.assert_close(colours(images, jitter=0, grey=0), images, rtol=0, atol=1e-2)


def test_grey_is_the_luma_of_the_image():
    images = images_of(20).images.float()
    expected = (images @ YIQ[0])[..., None].expand_as(images)
    torch.testing.assert_close(colours(images, jitter=0, grey=1), expected, rtol=0, atol=1e-2)


def test_each_image_is_jittered_on_its_own_and_as_often_as_asked():
    images = (images_of(1).images.float() / 4 + 90).expand(1000, -1, -1, -1)  # far from black and white: nothing clips
    found = colours(images, jitter=0.8, grey=0.0)
    assert (found - images).flatten(1).abs().amax(1).gt(0.1).float().mean().item() == pytest.approx(0.8, abs=0.05)
    brightness = (found @ YIQ[0]).mean((1, 2)) / (images @ YIQ[0]).mean((1, 2))
    assert 0.6 <= brightness.min() < 0.65 and 1.35 < brightness.max() <= 1.4
    assert len(brightness.round(decimals=4).unique()) > 700
    # Neither contrast, saturation nor hue moves the mean luma; contrast alone moves how it varies.
    contrast = (found @ YIQ[0]).flatten(1).std(1) / (images @ YIQ[0]).flatten(1).std(1) / brightness
    assert 0.6 <= contrast.min() < 0.65 and 1.35 < contrast.max() <= 1.4
    # In the plane of the two colour differences, hue is an angle and saturation a length.
    before, after = (torch.view_as_complex((x @ YIQ[1:].T).mean((1, 2)).contiguous()) for x in (images, found))
    turned = (after / before).angle().rad2deg()
    assert -36.1 < turned.min() < -30 and 30 < turned.max() < 36.1


def test_a_view_is_drawn_from_the_generator_alone():
    images = images_of(10).images
    torch.manual_seed(1)
    first = random_view(images, 0.2, 1.0, 6, torch.Generator().manual_seed(0))
    torch.manual_seed(2)
    assert torch.equal(random_view(images, 0.2, 1.0, 6, torch.Generator().manual_seed(0)), first)
    assert first.shape == (10, 6, 6, 3) and first.min() >= 0 and first.max() <= 255
