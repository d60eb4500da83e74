"""Pre-training: each objective is what its paper says, learns, resumes exactly and is stopped where it fails."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from unit.networks import CONV, VIT, backbone_of, images_of, state_of

from prunetransfer.datasets.splits import Split
from prunetransfer.models.backbones import Backbone, build_backbone, extract_features
from prunetransfer.settings.registry import find
from prunetransfer.training import saved_state
from prunetransfer.training.augmentation import random_view
from prunetransfer.training.card import card_of, checkpoint_of
from prunetransfer.training.monitor import Monitor, spread_of
from prunetransfer.training.pretraining import Pretraining, hold_out, pretrain
from prunetransfer.training.saved_state import SavedState

RECIPE = {
    "epochs": 8,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "weight_decay": 1e-4,
    "batch_size": 8,
    "clip_norm": 1.0,
    "held_out": 0,
}
RATES = {"sgd": 0.1, "adamw": 0.01}
OBJECTIVES = {
    "supervised": {"label_smoothing": 0.1, "shift": 1},
    "moco-v2": {"least_crop": 0.5, "queue": 16, "temperature": 0.2, "momentum": 0.9},
    "dino": {"least_crop": 0.5, "outputs": 16, "momentum": 0.9, "warmup": 2, "local_views": 1, "local_size": 4},
}


def bright_and_dark(count: int = 32) -> Split:
    """Dark, grey and bright noise: three classes that even a tiny network tells apart."""
    noise = images_of(count)
    images = (noise.images // 4 + 90 * noise.labels[:, None, None, None]).to(torch.uint8)
    return Split(images, noise.labels, noise.classes)


def fresh(kind: str = "conv") -> Backbone:
    torch.manual_seed(0)
    if kind == "conv":
        return build_backbone(CONV)
    return build_backbone(VIT | {"options": VIT["options"] | {"dynamic_img_size": True}})


def trained(objective: str, kind: str = "conv", seed: int = 0, saved: SavedState | None = None, **changed):
    torch.manual_seed(seed)
    recipe = RECIPE | {"objective": objective} | OBJECTIVES[objective] | changed
    return pretrain(fresh(kind), bright_and_dark(), seed, saved, **recipe)


def objective_of(name: str, **changed) -> Pretraining:
    torch.manual_seed(0)
    pretraining = find("pretrain", name).function(fresh(), 5, 3, **OBJECTIVES[name] | changed)
    pretraining.start_epoch(1)
    return pretraining


# --- all objectives ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", RATES)
@pytest.mark.parametrize("kind", ["conv", "vit"])
def test_supervision_learns_a_tiny_task(kind, optimizer):
    pretraining, curve = trained("supervised", kind, epochs=12, optimizer=optimizer, learning_rate=RATES[optimizer])
    assert curve[-1]["loss"] < 0.7 * curve[0]["loss"]
    assert not pretraining.training
    assert card_of(pretraining, bright_and_dark(), bright_and_dark(48), 0)["test"]["own_top1"] > 0.8


def test_moco_lowers_its_loss():
    _, curve = trained("moco-v2", epochs=12, optimizer="adamw", learning_rate=0.01)
    # At first the queue holds random keys: what counts is how it goes on.
    assert min(row["loss"] for row in curve[-3:]) < 0.97 * curve[2]["loss"]
    assert all(row["train_top1"] is None for row in curve)


def test_a_student_of_dino_learns_what_a_teacher_at_rest_says():
    pretraining, images = objective_of("dino"), images_of(16)
    pretraining.agreement.center_momentum = 1.0
    updates = torch.optim.AdamW(pretraining.trained.parameters(), lr=0.01)
    losses = []
    for step in range(30):
        loss, outputs = pretraining(images.images, images.labels, torch.Generator().manual_seed(step))
        updates.zero_grad()
        loss.backward()
        updates.step()
        losses.append(loss.item())
    assert outputs is None
    assert np.mean(losses[-5:]) < 0.9 * losses[0]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_seed_decides(objective):
    first, again, other = (state_of(trained(objective, seed=seed, epochs=2)[0].kept) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


@pytest.mark.parametrize("stop", [3, 4, 7])  # four steps an epoch: in the midst, at the end, in the midst of the next
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_killed_run_ends_in_the_same_weights(objective, stop, tmp_path, monkeypatch, capsys):
    class Killed(BaseException):
        pass

    expected, curve = trained(objective, epochs=3)
    monkeypatch.setattr(saved_state, "SAVE_EVERY", 0.0)
    save, saves = SavedState.save, []

    def save_and_die(self, state):
        saves.append(save(self, state))
        if len(saves) == stop:
            raise Killed

    monkeypatch.setattr(SavedState, "save", save_and_die)
    with pytest.raises(Killed):
        trained(objective, epochs=3, saved=SavedState(tmp_path / "net.safetensors", {}, []))
    monkeypatch.setattr(SavedState, "save", save)
    torch.manual_seed(123)  # whatever the new process has drawn before
    recipe = RECIPE | {"objective": objective} | OBJECTIVES[objective] | {"epochs": 3}
    again = SavedState(tmp_path / "net.safetensors", {}, [])
    resumed, its_curve = pretrain(fresh(), bright_and_dark(), 0, again, **recipe)
    assert f"resumed after step {(stop - 1) % 4 + 1} of epoch {(stop - 1) // 4 + 1}" in capsys.readouterr().out
    for (name, tensor), found in zip(expected.state_dict().items(), resumed.state_dict().values(), strict=True):
        if isinstance(tensor, torch.Tensor):
            assert torch.equal(found, tensor), name
        else:
            assert all(torch.equal(found[key], tensor[key]) for key in tensor), name
    without_time = [[{k: v for k, v in row.items() if k != "seconds"} for row in rows] for rows in (curve, its_curve)]
    assert without_time[0] == without_time[1]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_first_epochs_see_smaller_images(objective, monkeypatch):
    sizes = []
    forward = Backbone.forward

    def watched(self, images):
        sizes.append((self.training, images.shape[1]))
        return forward(self, images)

    monkeypatch.setattr(Backbone, "forward", watched)
    trained(objective, epochs=3, first_size=6, first_epochs=2, batch_size=32)
    seen = [size for training, size in sizes if training and size != OBJECTIVES["dino"]["local_size"]]
    assert seen == [6] * (2 * len(seen) // 3) + [8] * (len(seen) // 3)


def test_divergence_names_step_and_learning_rate():
    with pytest.raises(
        FloatingPointError, match=r"pre-training diverged in step \d of epoch \d at learning rate [1-9]"
    ):
        trained("supervised", learning_rate=1e30, clip_norm=None)


def test_a_missing_package_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "lightly"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "prunetransfer.training.objectives.dino", raising=False)
    monkeypatch.setitem(sys.modules, "lightly", None)
    with pytest.raises(ValueError, match=r"dino needs the package lightly: pip install 'prunetransfer\[pretraining\]'"):
        trained("dino")


# --- MoCo v2 ----------------------------------------------------------------------------------------------------------


def test_the_loss_of_moco_is_infonce_over_the_queue():
    pretraining = objective_of("moco-v2")
    pretraining.trained.eval(), pretraining.slow.eval()
    queue = pretraining.contrast.memory_bank.bank.clone().double()
    images = images_of(6)
    loss, outputs = pretraining(images.images, images.labels, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    query, key = (random_view(images.images, 0.5, 1.0, 8, generator) for _ in range(2))
    q = F.normalize(pretraining.trained(query).double(), dim=1)
    k = F.normalize(pretraining.slow(key).double(), dim=1)
    expected = 0.0
    for i in range(6):
        positive, negatives = q[i] @ k[i] / 0.2, queue @ q[i] / 0.2
        expected -= (positive - torch.cat([positive[None], negatives]).logsumexp(0)).item() / 6
    assert outputs is None
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(pretraining.contrast.memory_bank.bank[:6].double(), k, rtol=1e-4, atol=1e-5)


def test_keys_share_their_statistics_with_a_part_of_the_batch_only(monkeypatch):
    pretraining = objective_of("moco-v2")
    batches = []
    forward = Backbone.forward
    monkeypatch.setattr(Backbone, "forward", lambda self, images: batches.append(len(images)) or forward(self, images))
    images = images_of(32)
    pretraining(images.images, images.labels, torch.Generator())
    assert sorted(batches) == [8, 8, 8, 8, 32]


def test_the_slow_encoder_follows_by_its_momentum():
    pretraining = objective_of("moco-v2")
    before = copy.deepcopy(pretraining.slow)
    with torch.no_grad():
        for weight in pretraining.trained.parameters():
            weight += 1
    pretraining.after_step(0.5)
    pairs = zip(pretraining.slow.parameters(), before.parameters(), strict=True)
    assert all(torch.allclose(now, old + 0.1, atol=1e-6) for now, old in pairs)


# --- DINO -------------------------------------------------------------------------------------------------------------


def test_the_loss_of_dino_is_the_cross_entropy_with_the_centred_teacher():
    pretraining = objective_of("dino")
    pretraining.trained.eval(), pretraining.teacher.eval()
    with torch.no_grad():
        pretraining.agreement.center += torch.randn(1, 1, 16)
    center = pretraining.agreement.center.clone().flatten().double()
    images = images_of(6)
    loss, _ = pretraining(images.images, images.labels, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    views = [random_view(images.images, 0.5, 1.0, 8, generator) for _ in range(2)]
    views += [random_view(images.images, 0.05, 0.5, 4, generator)]
    students = [(pretraining.trained(view).double() / 0.1).log_softmax(1) for view in views]
    teachers = [((pretraining.teacher(view).double() - center) / 0.04).softmax(1) for view in views[:2]]
    terms = [-(t * s).sum(1).mean() for i, t in enumerate(teachers) for j, s in enumerate(students) if i != j]
    assert len(terms) == 4
    assert loss.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-4)
    assert not torch.allclose(pretraining.agreement.center.flatten().double(), center)


def test_the_teacher_is_kept_and_follows_on_a_cosine_to_one():
    pretraining = objective_of("dino")
    assert pretraining.kept is pretraining.teacher[0]
    before = pretraining.kept.network.fc.bias.clone()
    with torch.no_grad():
        pretraining.trained[0].network.fc.bias += 1
    pretraining.after_step(0.0)
    moved = (pretraining.kept.network.fc.bias - before).mean().item()
    assert moved == pytest.approx(1 - OBJECTIVES["dino"]["momentum"], abs=1e-5)
    pretraining.after_step(1.0)
    assert (pretraining.kept.network.fc.bias - before).mean().item() == pytest.approx(moved, abs=1e-6)


def test_the_last_layer_rests_in_the_first_epoch_alone():
    start = objective_of("dino").trained[1].last_layer.weight_v
    first = trained("dino", epochs=1)[0].trained[1].last_layer.weight_v
    assert torch.equal(first, trained("dino", epochs=1, learning_rate=0.05)[0].trained[1].last_layer.weight_v)
    assert first.shape == start.shape
    assert not torch.equal(trained("dino", epochs=2)[0].trained[1].last_layer.weight_v, first)


# --- what is monitored and kept ---------------------------------------------------------------------------------------


def test_images_held_out_are_of_every_class_and_not_trained_on(monkeypatch):
    split = bright_and_dark(60)
    shown, monitor = hold_out(split, 0.2, 0)
    assert monitor.apart.labels.bincount().tolist() == [4, 4, 4]
    assert len(shown.labels) + len(monitor.apart.labels) == 60
    every = sorted(image.numpy().tobytes() for part in (shown, monitor.apart) for image in part.images)
    assert every == sorted(image.numpy().tobytes() for image in split.images)
    again = hold_out(split, 0.2, 0)[1]
    assert torch.equal(again.apart.images, monitor.apart.images)
    assert not torch.equal(hold_out(split, 0.2, 1)[1].apart.images, monitor.apart.images)


def test_the_monitor_reads_accuracy_on_what_is_held_out():
    _, curve = trained("supervised", epochs=12, held_out=0.3)
    assert curve[-1]["knn_top1"] > 0.8 and curve[-1]["ridge_top1"] > 0.8
    assert curve[-1]["spread"] > 0.01
    assert "knn_top1" not in trained("supervised", epochs=1)[1][0]


def test_collapse_is_caught_in_one_line():
    backbone = backbone_of()
    with torch.no_grad():
        backbone.network.fc.weight.zero_()
    monitor = hold_out(bright_and_dark(), 0.3, 0)[1]
    with pytest.raises(FloatingPointError, match="collapsed: the features of all images are alike"):
        monitor(backbone)
    with torch.no_grad():
        backbone.network.fc.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="collapsed"):
        monitor(backbone)


def test_the_spread_is_one_where_features_point_anywhere():
    features = torch.randn(5000, 40, generator=torch.Generator().manual_seed(0))
    assert spread_of(features) == pytest.approx(1, abs=0.02)
    assert spread_of(features[:1].expand(50, -1) * torch.arange(1, 51)[:, None]) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("kind", ["conv", "vit"])
def test_what_is_stored_is_what_the_rounded_network_has(kind):
    pretraining, _ = trained("supervised", kind, epochs=1)
    before = state_of(pretraining.kept)
    stored = checkpoint_of(pretraining)
    name = {"conv": "classifier", "vit": "head"}[kind]
    assert list(stored) == [*before, f"{name}.weight", f"{name}.bias"]
    for key, tensor in pretraining.kept.network.state_dict().items():
        if tensor.is_floating_point():
            assert stored[key].dtype == np.float16 and tensor.dtype == torch.float32
            assert torch.equal(tensor, before[key].half().float())
        else:
            assert torch.equal(tensor, before[key])
        np.testing.assert_array_equal(stored[key].astype(tensor.numpy().dtype), tensor.numpy())
    again = checkpoint_of(pretraining)
    assert all((again[key] == stored[key]).all() for key in stored)


def test_the_card_says_how_often_its_own_classifier_is_right():
    pretraining, _ = trained("supervised", epochs=3)
    test = bright_and_dark(40)
    predicted = pretraining.classifier()(extract_features(pretraining.kept, test.images)).argmax(1)
    card = card_of(pretraining, bright_and_dark(), test, 0)
    assert card["test"]["own_top1"] == pytest.approx((predicted == test.labels).sum().item() / 40)
    assert card["images"] == {"train": 32, "test": 40, "classes": ("a", "b", "c")}
    assert "own_top1" not in card_of(trained("moco-v2", epochs=1)[0], bright_and_dark(), test, 0)["test"]


def test_monitors_of_one_draw_are_the_same():
    split = bright_and_dark(60)
    banks = [Monitor(split, bright_and_dark(6), 0).bank.images for _ in range(2)]
    assert torch.equal(*banks) and len(banks[0]) == 24
