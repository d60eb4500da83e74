"""Pre-training: it learns, its augmentation moves and mirrors, and its weights survive half precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from unit.networks import VIT, backbone_of, images_of, state_of

from prunetransfer.backbones import Backbone, build_backbone, extract_features
from prunetransfer.datasets.splits import Split
from prunetransfer.pretraining import accuracy, half_precision_state, pretrain
from prunetransfer.training import shift_and_flip

RECIPE = {
    "epochs": 12,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "weight_decay": 1e-4,
    "batch_size": 8,
    "label_smoothing": 0.1,
    "shift": 1,
}
RATES = {"sgd": 0.1, "adamw": 0.01}


def bright_and_dark(count: int = 32) -> Split:
    """Dark, grey and bright noise: three classes that even a tiny network tells apart."""
    noise = images_of(count)
    images = (noise.images // 4 + 90 * noise.labels[:, None, None, None]).to(torch.uint8)
    return Split(images, noise.labels, noise.classes)


def classifier(kind: str = "conv") -> Backbone:
    torch.manual_seed(0)
    return build_backbone(VIT, num_classes=3) if kind == "vit" else backbone_of("conv")


# --- augmentation -----------------------------------------------------------------------------------------------------


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
    torch.manual_seed(0)
    found = shift_and_flip(image.expand(800, 6, 7, 3), shift)
    assert found.dtype == torch.uint8
    assert {one.numpy().tobytes() for one in found} == allowed


def test_each_image_is_augmented_on_its_own():
    images = images_of(50).images
    torch.manual_seed(0)
    found = shift_and_flip(images, 2)
    for image, one in zip(images.numpy(), found.numpy(), strict=True):
        variants = [moved(image, dy, dx, f) for dy in range(-2, 3) for dx in range(-2, 3) for f in (False, True)]
        assert any((one == variant).all() for variant in variants)
    torch.manual_seed(0)
    assert torch.equal(shift_and_flip(images, 2), found)


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", RATES)
@pytest.mark.parametrize("kind", ["conv", "vit"])
def test_a_few_epochs_learn_a_tiny_task(kind, optimizer, capsys):
    backbone, train = classifier(kind), bright_and_dark()
    pretrain(backbone, train, **RECIPE | {"optimizer": optimizer, "learning_rate": RATES[optimizer]})
    losses = [float(line.split("loss")[1].split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 12
    assert losses[-1] < 0.7 * losses[0]
    assert not backbone.training
    assert accuracy(backbone, bright_and_dark(48)) > 0.8


def test_pretraining_is_decided_by_the_global_seed():
    def trained(seed: int) -> dict[str, torch.Tensor]:
        backbone = classifier()
        torch.manual_seed(seed)
        pretrain(backbone, bright_and_dark(), **RECIPE | {"epochs": 1})
        return state_of(backbone)

    first, again, other = trained(0), trained(0), trained(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


def test_one_step_is_enough_to_train():
    backbone = classifier()
    before = state_of(backbone)
    pretrain(backbone, bright_and_dark(8), **RECIPE | {"epochs": 1})
    after = state_of(backbone)
    assert not any(torch.equal(after[name], before[name]) for name in ("fc.weight", "bn1.weight", "bn1.running_mean"))


def test_divergence_names_epoch_and_learning_rate():
    with pytest.raises(FloatingPointError, match=r"diverged in epoch \d at learning rate [1-9]"):
        pretrain(classifier(), bright_and_dark(), **RECIPE | {"learning_rate": 1e30})


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="'lion' is not known; use sgd or adamw"):
        pretrain(classifier(), bright_and_dark(), **RECIPE | {"optimizer": "lion"})


def test_accuracy_counts_what_the_classifier_gets_right():
    backbone, test = classifier(), images_of(40)
    predicted = extract_features(backbone, test.images).argmax(1)
    assert accuracy(backbone, test) == pytest.approx((predicted == test.labels).sum().item() / 40)


# --- half precision ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["conv", "vit"])
def test_what_is_stored_is_what_the_rounded_backbone_has(kind):
    backbone = backbone_of(kind)
    before = state_of(backbone)
    stored = half_precision_state(backbone)
    assert list(stored) == list(before)
    for name, tensor in backbone.network.state_dict().items():
        if tensor.is_floating_point():
            assert stored[name].dtype == np.float16 and tensor.dtype == torch.float32
            assert torch.equal(tensor, before[name].half().float())
        else:
            assert torch.equal(tensor, before[name])
        np.testing.assert_array_equal(stored[name].astype(tensor.numpy().dtype), tensor.numpy())
    again = half_precision_state(backbone)
    assert all((again[name] == stored[name]).all() for name in stored)
