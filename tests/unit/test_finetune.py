"""Fine-tuning: plain SGD on the loss, with pruned weights and normalisation statistics where they were."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from unit.networks import BACKBONES, CLASSES, backbone_of, head_of, images_of, state_of

from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone, extract_features
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.finetune import finetune

TRAIN = images_of(12)
SETTINGS = {
    "loss": "squared",
    "epochs": 3,
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 0.01,
    "batch_size": 5,
    "milestones": [],
}


def pruned(kind: str = "conv") -> tuple[Backbone, dict[str, Tensor], Head]:
    """A backbone with about half of each layer pruned, its mask, and the dense head."""
    backbone = backbone_of(kind)
    head = head_of(backbone)
    generator = torch.Generator().manual_seed(0)
    mask = {name: torch.rand(w.shape, generator=generator) < 0.5 for name, w in backbone.prunable().items()}
    backbone.prune(mask)
    return backbone, mask, head


def tuned(seed: int = 0, **changed) -> dict[str, Tensor]:
    backbone, mask, head = pruned()
    finetune(Case(backbone, backbone_of(), mask, head, TRAIN, seed), **SETTINGS | changed)
    return state_of(backbone)


def mean_loss(backbone: Backbone, head: Head) -> float:
    outputs = head(extract_features(backbone, TRAIN.images))
    return 0.5 * (outputs - F.one_hot(TRAIN.labels, CLASSES)).square().sum(1).mean().item()


@pytest.mark.parametrize("kind", BACKBONES)
def test_no_pruned_weight_revives_and_every_kept_one_may_move(kind):
    backbone, mask, head = pruned(kind)
    before = state_of(backbone)
    finetune(Case(backbone, backbone_of(), mask, head, TRAIN, 0), **SETTINGS)
    for name, weight in backbone.prunable().items():
        assert (weight[~mask[name]] == 0).all(), name
        moved = weight[mask[name]] != before[name][mask[name]]
        assert moved.float().mean() > 0.9, name
    trained = {name for name, _ in backbone.network.named_parameters()}
    after = backbone.network.state_dict()
    assert all(not torch.equal(after[name], before[name]) for name in trained)


def test_normalisation_statistics_stay():
    before, after = state_of(pruned()[0]), tuned()
    statistics = [name for name in before if "running" in name or "num_batches" in name]
    assert len(statistics) == 3
    assert all(torch.equal(after[name], before[name]) for name in statistics)


def test_the_head_stays():
    backbone, mask, head = pruned()
    weight, bias = head.weight.clone(), head.bias.clone()
    finetune(Case(backbone, backbone_of(), mask, head, TRAIN, 0), **SETTINGS)
    assert torch.equal(head.weight, weight) and torch.equal(head.bias, bias)


def test_the_seed_decides():
    first, again, other = tuned(seed=0), tuned(seed=0), tuned(seed=1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


@pytest.mark.parametrize("kind", BACKBONES)
def test_the_loss_falls(kind):
    backbone, mask, head = pruned(kind)
    before = mean_loss(backbone, head)
    finetune(Case(backbone, backbone_of(), mask, head, TRAIN, 0), **SETTINGS | {"epochs": 10})
    assert mean_loss(backbone, head) < 0.7 * before


@pytest.mark.parametrize("milestones", [[], [1], [1, 3]])
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_it_is_sgd_written_out(loss, milestones):
    backbone, mask, head = pruned()
    backbone = backbone.double()
    head = head.to(backbone.device, torch.float64)
    expected = {name: p.detach().clone().requires_grad_() for name, p in backbone.named_parameters()}
    velocity = {name: torch.zeros_like(p) for name, p in expected.items()}
    rate = 0.05
    for epoch in range(1, 5):
        outputs = torch.func.functional_call(backbone, expected, (TRAIN.images,)) @ head.weight + head.bias
        if loss == "squared":
            value = 0.5 * ((outputs - torch.eye(CLASSES)[TRAIN.labels]) ** 2).sum(1).mean()
        else:
            value = -outputs.log_softmax(1)[range(12), TRAIN.labels].mean()
        slopes = torch.autograd.grad(value, list(expected.values()))
        for (name, p), slope in zip(expected.items(), slopes, strict=True):
            decay = 0.01 * (name.removeprefix("network.") in mask)  # neither norms nor biases
            velocity[name] = 0.9 * velocity[name] + slope + decay * p.detach()
            moved = p.detach() - rate * velocity[name]
            keep = mask.get(name.removeprefix("network."), torch.tensor(True))
            expected[name] = (moved * keep).requires_grad_()
        if epoch in milestones:
            rate /= 10

    settings = SETTINGS | {"loss": loss, "epochs": 4, "milestones": milestones, "batch_size": 12}
    finetune(Case(backbone, backbone_of(), mask, head, TRAIN, 0), **settings)
    for name, p in backbone.named_parameters():
        torch.testing.assert_close(p.detach(), expected[name].detach(), rtol=1e-9, atol=1e-12)


def test_every_image_is_seen_once_an_epoch(monkeypatch):
    backbone, mask, head = pruned()
    seen = []
    forward = Backbone.forward
    monkeypatch.setattr(Backbone, "forward", lambda self, images: seen.extend(images.clone()) or forward(self, images))
    finetune(Case(backbone, backbone_of(), mask, head, TRAIN, 0), **SETTINGS | {"epochs": 2})
    epochs = [sorted(image.numpy().tobytes() for image in part) for part in (seen[:12], seen[12:])]
    assert epochs == [sorted(image.numpy().tobytes() for image in TRAIN.images)] * 2
    assert not all(torch.equal(a, b) for a, b in zip(seen[:12], seen[12:], strict=True))


def test_divergence_names_step_and_learning_rate():
    backbone, mask, head = pruned()
    with pytest.raises(FloatingPointError, match=r"diverged in step \d of epoch [12] at learning rate 1e\+20"):
        finetune(Case(backbone, backbone_of(), mask, head, TRAIN, 0), **SETTINGS | {"learning_rate": 1e20})


def test_divergence_in_the_very_last_step_is_seen():
    backbone, mask, head = pruned()
    settings = SETTINGS | {"learning_rate": 1e38, "epochs": 1, "batch_size": 12}
    with pytest.raises(FloatingPointError, match=r"diverged in step 1 of epoch 1 at learning rate 1e\+38"):
        finetune(
            Case(backbone, backbone_of(), mask, head, TRAIN, 0), **settings | {"momentum": 0.0, "weight_decay": 1e30}
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adamw", "learning_rate": 0.003, "schedule": "cosine", "warmup": 1},
        {"clip_norm": 0.5, "label_smoothing": 0.1},
        {"loss": "cross_entropy", "label_smoothing": 0.1, "least_crop": 0.5},
        {"precision": "bfloat16"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_whatever_the_settings_the_loss_falls_and_no_pruned_weight_revives(settings):
    backbone, mask, head = pruned()
    curve = finetune(Case(backbone, backbone_of(), mask, head, TRAIN, 0), **SETTINGS | {"epochs": 12} | settings)
    assert all((weight[~mask[name]] == 0).all() for name, weight in backbone.prunable().items())
    assert curve[-1]["loss"] < curve[0]["loss"]


def test_a_clipped_step_has_the_norm_of_the_kept_gradients():
    backbone, mask, head = pruned()
    before = state_of(backbone)
    settings = SETTINGS | {"epochs": 1, "batch_size": 12, "momentum": 0.0, "weight_decay": 0.0}
    finetune(Case(backbone, backbone_of(), mask, head, TRAIN, 0), **settings, clip_norm=0.01)
    moved = [p.detach() - before[name] for name, p in backbone.network.named_parameters()]
    norm = sum(float(change.double().square().sum()) for change in moved) ** 0.5
    assert norm == pytest.approx(0.05 * 0.01, rel=1e-3)


def test_the_curve_has_a_row_an_epoch():
    backbone, mask, head = pruned()
    expected = mean_loss(backbone, head)
    outputs = head(extract_features(backbone, TRAIN.images))
    settings = SETTINGS | {"epochs": 5, "batch_size": 12, "milestones": [2], "warmup": 2}
    curve = finetune(Case(backbone, backbone_of(), mask, head, TRAIN, 0), **settings)
    assert [row["epoch"] for row in curve] == [row["step"] for row in curve] == [1, 2, 3, 4, 5]
    assert curve[0]["loss"] == pytest.approx(expected)
    assert curve[0]["train_top1"] == int((outputs.argmax(1) == TRAIN.labels).sum()) / 12
    assert [row["learning_rate"] for row in curve] == pytest.approx([0.025, 0.05, 0.005, 0.005, 0.005])
    assert all(row["seconds"] > 0 for row in curve)


def test_a_cosine_ends_near_zero():
    backbone, mask, head = pruned()
    settings = SETTINGS | {"epochs": 4, "batch_size": 12, "schedule": "cosine"}
    curve = finetune(Case(backbone, backbone_of(), mask, head, TRAIN, 0), **settings)
    expected = [0.05 * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    assert [row["learning_rate"] for row in curve] == pytest.approx(expected)
