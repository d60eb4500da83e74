"""Evaluation: what a plain PyTorch loop measures, for every mask of a grid and in any order of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from unit.networks import BACKBONES, CLASSES, backbone_of, head_of, images_of, state_of, weights_of

from prunetransfer.datasets.splits import Split
from prunetransfer.evaluation.grid import Target, evaluate_masks, evaluate_recovered
from prunetransfer.heads import Head
from prunetransfer.heads.fitting import fit_head
from prunetransfer.heads.knn import nearest_neighbours
from prunetransfer.models.backbones import Backbone, extract_features
from prunetransfer.pruning.apply import load_mask
from prunetransfer.pruning.masks import achieved_sparsity, global_mask, read_mask, write_mask
from prunetransfer.runtime.devices import in_batches
from prunetransfer.storage.artifacts import write_tensors

ASKED = {"mask": "global"}
SPARSITIES = [0.0, 0.3, 0.7]
COUNT = 260  # more than one batch


@pytest.fixture(params=BACKBONES)
def kind(request) -> str:
    return request.param


@pytest.fixture
def backbone(kind) -> Backbone:
    return backbone_of(kind)


@pytest.fixture
def images(backbone) -> Split:
    """More images than one batch takes, at times labelled as the dense backbone reads them."""
    split = images_of(COUNT)
    read = head_of(backbone)(extract_features(backbone, split.images)).argmax(1)
    return Split(split.images, torch.where(torch.arange(COUNT) % 4 > 0, read, split.labels), split.classes)


@pytest.fixture
def masks(backbone, tmp_path) -> list[Path]:
    """Mask files of magnitude at SPARSITIES."""
    scores = {name: w.square().numpy() for name, w in weights_of(backbone).items()}
    for q in SPARSITIES:
        write_mask(tmp_path / f"{q}.mask", global_mask(scores, q), ASKED | {"sparsity": q})
    return [tmp_path / f"{q}.mask" for q in SPARSITIES]


def zero_shot(backbone: Backbone, head: Head, images: Split, paths: list[Path], evaluate=evaluate_masks):
    return evaluate(backbone, Target(head, images, {"zero_shot": {}}), paths)


def plain_loop(backbone: Backbone, head: Head, images: Split) -> tuple[int, float]:
    """How many are right, and the mean of ½‖f − y‖², by images one after the other."""
    correct, loss = 0, 0.0
    for image, label in zip(images.images, images.labels, strict=True):
        with torch.no_grad():
            pixels = (image.float() / 255).permute(2, 0, 1)[None]
            features = backbone.network((pixels - backbone.mean) / backbone.std)
        outputs = F.linear(features, head.weight.T, head.bias)[0]
        correct += int(outputs.argmax()) == int(label)
        loss += 0.5 * (outputs - torch.eye(CLASSES)[label]).square().sum().item()
    return correct, loss / len(images.labels)


def measured(rows: list[dict]) -> dict[float, tuple]:
    return {row["sparsity"]: (row["correct"], row["top1"], row["loss"], row["retention"]) for row in rows}


def test_zero_shot_is_a_plain_loop(backbone, images, masks):
    head = head_of(backbone)
    correct, loss = plain_loop(backbone, head, images)
    (row,), _ = zero_shot(backbone.train(), head, images, masks[:1])
    assert (row["n"], row["correct"], row["dense_top1"]) == (COUNT, correct, correct / COUNT)
    assert row["loss"] == pytest.approx(loss, rel=1e-4)
    assert row["images_per_second"] > 0
    assert 0.5 < row["top1"] < 1


def test_sparsity_0_is_the_dense_backbone_exactly(backbone, images, masks):
    head = head_of(backbone)
    (row,), predictions = zero_shot(backbone, head, images, masks[:1])
    assert (row["sparsity"], row["achieved_sparsity"], row["dense_top1"], row["retention"]) == (0, 0, row["top1"], 1)
    assert row["dense_loss"] == pytest.approx(row["loss"])
    label, dense, pruned = predictions
    assert (label["readout"], label["predicted"]) == ("label", images.labels.tolist())
    assert (dense["sparsity"], pruned["sparsity"]) == (None, 0)
    assert (dense["mask"], pruned["mask"]) == (None, "global")
    assert dense["predicted"] == pruned["predicted"]
    assert np.mean(np.array(pruned["predicted"]) == images.labels.numpy()) == row["top1"]


def test_each_row_is_the_pruned_backbone_in_a_plain_loop(backbone, images, masks):
    head, dense = head_of(backbone), state_of(backbone)
    sizes = torch.cat([w.abs().flatten() for w in weights_of(backbone).values()])
    rows, _ = zero_shot(backbone, head, images, masks)
    assert [row["sparsity"] for row in rows] == SPARSITIES
    for row in rows:
        count = round(row["sparsity"] * len(sizes))
        threshold = sizes.sort().values[count]
        backbone.network.load_state_dict(dense)
        for w in weights_of(backbone).values():
            w[w.abs() < threshold] = 0
        correct, loss = plain_loop(backbone, head, images)
        assert (row["n"], row["correct"], row["top1"]) == (COUNT, correct, correct / COUNT)
        assert row["loss"] == pytest.approx(loss, rel=1e-4)
        assert row["achieved_sparsity"] == pytest.approx(count / len(sizes))
        assert row["retention"] == pytest.approx(row["top1"] / rows[0]["top1"])
        assert (row["readout"], row["device"]) == ("zero_shot", "cpu")
    assert rows[-1]["correct"] < rows[0]["correct"]


def test_the_order_of_the_grid_does_not_count(kind, backbone, images, masks):
    head = head_of(backbone)
    upwards = measured(zero_shot(backbone, head, images, masks)[0])
    assert measured(zero_shot(backbone_of(kind), head, images, masks[::-1])[0]) == upwards


def test_recovered_weights_are_read_whole(images, backbone, masks, tmp_path):
    head, dense = head_of(backbone), state_of(backbone)
    expected = {}
    for q in (0.2, 0.5):
        state = {name: t + 0.1 * q if t.is_floating_point() else t for name, t in dense.items()}
        backbone.network.load_state_dict(state)
        expected[q] = plain_loop(backbone, head, images)
        write_tensors(
            tmp_path / f"{q}.weights",
            {name: t.numpy() for name, t in state.items()},
            ASKED | {"sparsity": q, "achieved_sparsity": q / 2},
        )
    backbone.network.load_state_dict(dense)
    paths = [tmp_path / "0.5.weights", tmp_path / "0.2.weights"]
    rows, _ = zero_shot(backbone, head, images, paths, evaluate_recovered)
    assert all(torch.equal(tensor, dense[name]) for name, tensor in backbone.network.state_dict().items())
    assert [(row["sparsity"], row["achieved_sparsity"]) for row in rows] == [(0.5, 0.25), (0.2, 0.1)]
    for row in rows:
        correct, loss = expected[row["sparsity"]]
        assert row["correct"] == correct
        assert row["loss"] == pytest.approx(loss, rel=1e-4)
    assert rows[0]["loss"] != rows[1]["loss"]


def test_a_head_that_gets_nothing_right_is_refused(masks, backbone):
    split = images_of(30)
    split = Split(split.images, split.labels.clamp(min=1), split.classes)
    only_first = Head(torch.zeros_like(head_of(backbone).weight), torch.tensor([1.0, 0.0, 0.0]), alpha=1.0)
    with pytest.raises(ValueError, match="no test image right"):
        zero_shot(backbone, only_first, split, masks)


class Root(nn.Module):
    """NaN for the images whose feature `index`, which is `sign` times it, falls below `least`."""

    def __init__(self, index: int, sign: int, least: float) -> None:
        super().__init__()
        self.index, self.sign, self.least = index, sign, least

    def forward(self, x: Tensor) -> Tensor:
        return x + 0 * (self.sign * x[:, [self.index]] - self.least).sqrt()


@pytest.mark.parametrize("kind", ["conv"], indirect=True)
@pytest.mark.parametrize("unread", ["test", "train"])
def test_an_image_whose_output_is_not_a_number_is_answered_wrong(backbone, images, masks, unread, capsys):
    head, train = head_of(backbone), images_of(90, seed=1)
    train = train if unread == "train" else Split(images.images[:90], images.labels[:90], images.classes)
    test = images if unread == "test" else Split(train.images[:5], train.labels[:5], train.classes)
    splits = {"test": test, "train": train}
    dense = torch.cat([extract_features(backbone, split.images) for split in splits.values()])
    state = state_of(backbone)
    backbone.prune(load_mask(masks[2], backbone.device))
    pruned = {name: extract_features(backbone, split.images) for name, split in splits.items()}
    backbone.network.load_state_dict(state)
    # A feature that goes lower in the pruned backbone than ever in the dense one, on some images that are asked for.
    index, sign, least = next(
        (k, sign, least)
        for k in range(dense.shape[1])
        for sign in (1, -1)
        for least in [(sign * dense[:, k]).min() - 1e-6]
        if 0 < (sign * pruned[unread][:, k] < least).sum() < len(pruned[unread])
    )
    backbone.network = nn.Sequential(backbone.network, Root(index, sign, float(least)))
    lost = {name: sign * features[:, index] < least for name, features in pruned.items()}

    readouts = {"zero_shot": {}, "linear_probe": {"head": {"kind": "ridge", "alpha": 1.0}}, "knn": {"neighbours": 5}}
    path = masks[2].with_name("of the sequence")
    write_mask(path, {f"0.{name}": keep for name, keep in read_mask(masks[2]).items()}, ASKED | {"sparsity": 0.7})
    rows, predictions = evaluate_masks(backbone, Target(head, test, readouts, train), [path])
    found = {(p["sparsity"], p["readout"]): np.array(p["predicted"]) for p in predictions}
    for row in rows:
        wrong = lost["test"].numpy().copy()
        if row["readout"] != "zero_shot" and lost["train"].any():
            wrong[:] = True  # nothing can be learnt from such images
        answers = found[0.7, row["readout"]]
        assert ((answers == -1) == wrong).all()
        assert row["correct"] == (answers == test.labels.numpy()).sum()
        assert (row["loss"] is None) == (wrong.any() or row["readout"] == "knn")
        assert (found[None, row["readout"]] >= 0).all()
    log = capsys.readouterr().out
    count = int(lost[unread].sum())
    assert f"{path}: features of {count} of {len(lost[unread])} images are NaN or infinite" in log
    assert "is 1 (Root)" in log


@pytest.mark.parametrize("kind", ["conv"], indirect=True)
def test_a_dense_backbone_that_gives_no_numbers_is_refused_by_layer(backbone, images, masks):
    head = head_of(backbone)
    backbone.network.bn1.running_var[2] = torch.nan
    with pytest.raises(ValueError, match=r"dense backbone: features of 260 of 260 images .* bn1 \(BatchNorm2d\)"):
        zero_shot(backbone, head, images, masks)


def test_a_mask_of_another_backbone_is_refused(tmp_path):
    backbone = backbone_of("conv")
    mask = {name: np.ones(w.shape, dtype=bool) for name, w in weights_of(backbone_of("vit")).items()}
    write_mask(tmp_path / "mask", mask, ASKED | {"sparsity": achieved_sparsity(mask)})
    with pytest.raises(ValueError, match=r"mask and backbone differ .*blocks\.0\.attn\.proj\.weight"):
        zero_shot(backbone, head_of(backbone), images_of(9), [tmp_path / "mask"])


@pytest.mark.parametrize("kind", ["conv"], indirect=True)
@pytest.mark.parametrize("head_kind", ["ridge", "logistic"])
def test_probe_and_neighbours_read_the_pruned_features(backbone, images, masks, head_kind):
    train, settings = images_of(90, seed=1), {"kind": head_kind, "alpha": 1.0}
    readouts = {"zero_shot": {}, "linear_probe": {"head": settings}, "knn": {"neighbours": 5}}
    rows, predictions = evaluate_masks(backbone, Target(head_of(backbone), images, readouts, train), masks[2:])
    backbone.prune(load_mask(masks[2], backbone.device))
    x, y = (extract_features(backbone, split.images) for split in (train, images))
    probe = fit_head(x, train.labels, CLASSES, settings)
    votes = nearest_neighbours(y, x, train.labels, CLASSES, 5)
    found = {(p["sparsity"], p["readout"]): p["predicted"] for p in predictions}
    assert len(found) == 7
    assert found[0.7, "linear_probe"] == probe(y).argmax(1).tolist()
    assert found[0.7, "knn"] == votes.argmax(1).tolist()
    assert found[None, "linear_probe"] != found[0.7, "linear_probe"]
    loss = {row["readout"]: row["loss"] for row in rows}
    assert loss["knn"] is None
    assert loss["linear_probe"] == pytest.approx(probe.loss(probe(y), images.labels).mean().item())
    for row in rows:
        dense = np.mean(np.array(found[None, row["readout"]]) == images.labels.numpy())
        assert row["dense_top1"] == pytest.approx(dense)


def test_batches_shrink_where_memory_runs_out_and_grow_again():
    sizes, images = [], torch.arange(200.0)[:, None]

    def limited(batch):
        if len(sizes) < 3 and len(batch) > 4:
            sizes.append(-len(batch))
            raise torch.OutOfMemoryError
        sizes.append(len(batch))
        return 2 * batch

    assert torch.equal(in_batches(limited, images, torch.device("cpu"), 32), 2 * images)
    assert sizes == [-32, -16, -8, *[4] * 8, *[8] * 8, *[16] * 6, 8]

    def never(batch):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        in_batches(never, images, torch.device("cpu"))
