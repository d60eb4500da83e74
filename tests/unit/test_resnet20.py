"""A real CIFAR-10 ResNet-20, brought as an architecture of one's own, from image files to pruned accuracies.

An independent implementation measured REFERENCE on the same network and test images, with other images behind its
scores and ridge head. Its settings: one shot, no recovery, blocks of 64, absolute damping; 500 gradients of the
cross-entropy of the network's own classifier, or 300 of the squared loss of a ridge head.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from prunetransfer.criteria.source import Source
from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.prepared import Preparation, write_split
from prunetransfer.datasets.splits import Split, read_split
from prunetransfer.evaluation.grid import Target, evaluate_masks
from prunetransfer.heads import Head
from prunetransfer.heads.ridge import fit_ridge
from prunetransfer.models.backbones import build_network, extract_features, load_backbone
from prunetransfer.models.checkpoints import convert, read_checkpoint
from prunetransfer.models.sources import fetch
from prunetransfer.pruning.masks import global_mask, write_mask
from prunetransfer.recovery.case import Case
from prunetransfer.settings.registry import find
from prunetransfer.storage.artifacts import ArtifactError, write_tensors

SETTINGS = {
    "architecture": "resnet20:resnet20",
    "options": {},
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "exclude": [],
}
DIGEST = "61ac4087a236a73408bfd0aaff534898d4637d8d0c50ff597f27a1ce570b1ee1"
SPARSITIES = [0.5, 0.6, 0.7, 0.8]
SAMPLES = {"squared": 300, "cross_entropy": 500}
DENSE = {"squared": (0.826, 0.015), "cross_entropy": (0.804, 0.001)}
# Criterion → top-1 at SPARSITIES, and how far off we may be: the more a score leans on the images that it saw, and the
# smaller its damping, the further five draws of them lay apart. Magnitude with the network's own classifier saw none.
REFERENCE = {
    "squared": {
        "magnitude": ([0.77, 0.64, 0.49, 0.30], 0.05),
        "diagonal": ([0.59, 0.16, 0.17, 0.10], 0.16),
        "block 1e-06": ([0.60, 0.47, 0.23, 0.11], 0.16),
        "block 0.0001": ([0.76, 0.64, 0.49, 0.26], 0.07),
        "block 0.01": ([0.77, 0.66, 0.50, 0.31], 0.06),
    },
    "cross_entropy": {
        "magnitude": ([0.78, 0.66, 0.52, 0.31], 0.01),
        "diagonal": ([0.63, 0.46, 0.13, 0.10], 0.16),
        "block 1e-06": ([0.19, 0.11, 0.11, 0.10], 0.06),
        "block 0.0001": ([0.68, 0.52, 0.36, 0.14], 0.12),
        "block 0.01": ([0.76, 0.68, 0.52, 0.38], 0.07),
    },
}

# What is done one after the other to the magnitude mask at a sparsity, and top-1 with the network's own classifier.
RECOVERED = [
    (["moments"], 0.8, 0.63),
    (["reconstruct"], 0.7, 0.75),
    (["reconstruct", "moments"], 0.8, 0.72),
    (["batchnorm"], 0.8, 0.598),
    (["compensate", "batchnorm"], 0.7, 0.744),
]
RECOVERIES = {
    "moments": {"samples": 400},
    "reconstruct": {"samples": 400, "positions": 32, "ridge": 0.01},
    "batchnorm": {"samples": 500},
    "compensate": {
        **{"samples": 500, "sampling": "balanced", "loss": "cross_entropy"},
        **{"block_size": 64, "damping": 1e-4},
    },
}


@dataclass(frozen=True)
class Remembering(Source):
    """Its per-sample gradients are computed once, and serve every score."""

    batches: list = field(default_factory=list)

    def gradients(self, drawn, loss, matrix, draws, names=None, head=None):
        if not self.batches:
            self.batches.extend(super().gradients(drawn, loss, matrix, draws))
        return self.batches


@pytest.fixture(scope="module")
def splits(shared_data: Path, tmp_path_factory) -> dict[str, Split]:
    """CIFAR-10, prepared at 32 pixels."""
    folder = tmp_path_factory.mktemp("cifar10")
    for split in ("train", "test"):
        samples = load_samples("folder", split, {"path": "cifar10"}, data_root=shared_data)
        write_split(folder / f"{split}.safetensors", samples, Preparation(32), {})
    return {split: read_split(folder / f"{split}.safetensors") for split in ("train", "test")}


@pytest.fixture(scope="module")
def checkpoint(shared_data: Path, tmp_path_factory) -> Path:
    path = shared_data / "weights/resnet20_cifar10_plain.pt"
    return fetch(str(path), "resnet20", tmp_path_factory.mktemp("downloads"), DIGEST)


@pytest.fixture(scope="module")
def weights(checkpoint: Path, tmp_path_factory) -> Path:
    """The file of converted weights, without the classifier."""
    network = build_network(SETTINGS["architecture"], SETTINGS["options"])
    path = tmp_path_factory.mktemp("weights") / "resnet20.safetensors"
    write_tensors(path, convert(read_checkpoint(checkpoint), network, ignore=["linear.*"]), {})
    return path


@pytest.fixture(scope="module")
def heads(checkpoint: Path, weights: Path, splits: dict[str, Split]) -> dict[str, Head]:
    """By loss: the paper's ridge head, and the network's own classifier."""
    state = read_checkpoint(checkpoint)
    train = splits["train"]
    features = extract_features(load_backbone(SETTINGS, weights, torch.device("cpu")), train.images)
    return {
        "squared": fit_ridge(features, train.labels, len(train.classes), alpha=1.0),
        "cross_entropy": Head(state["linear.weight"].T.contiguous(), state["linear.bias"], alpha=0.0),
    }


@pytest.fixture(scope="module", params=REFERENCE)
def loss(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def measured(loss, weights, heads, splits, tmp_path_factory) -> dict[str, np.ndarray]:
    """Criterion → top-1 at SPARSITIES."""
    head, folder, m = heads[loss], tmp_path_factory.mktemp(loss), SAMPLES[loss]
    backbone = load_backbone(SETTINGS, weights, torch.device("cpu"))
    source, drawn = Remembering(backbone, head, splits["train"]), {"loss": loss, "samples": m}
    criteria = {"magnitude": ("magnitude", {}), "diagonal": ("diagonal", drawn)}
    for damping in (1e-6, 1e-4, 1e-2):
        criteria[f"block {damping:g}"] = ("block", drawn | {"block_size": 64, "damping": damping})

    found = {}
    for criterion, (score, settings) in criteria.items():
        computed = find("scores", score).function(source, **settings)
        scores = {name: values.numpy() for name, values in computed.items()}
        files = [folder / f"{criterion}-{q}" for q in SPARSITIES]
        for q, file in zip(SPARSITIES, files, strict=True):
            write_mask(file, global_mask(scores, q), {"mask": "global", "sparsity": q})
        backbone = load_backbone(SETTINGS, weights, torch.device("cpu"))
        rows, _ = evaluate_masks(backbone, Target(head, splits["test"], {"zero_shot": {}}), files)
        found[criterion] = np.array([row["top1"] for row in rows])
    return found


def test_the_classifier_must_be_ignored_by_name(checkpoint):
    with pytest.raises(ArtifactError, match=r"unexpected: linear\.weight, linear\.bias"):
        convert(read_checkpoint(checkpoint), build_network(SETTINGS["architecture"], SETTINGS["options"]))


def test_dense_accuracy(loss, weights, heads, splits):
    backbone = load_backbone(SETTINGS, weights, torch.device("cpu"))
    expected, tolerance = DENSE[loss]
    read = heads[loss](extract_features(backbone, splits["test"].images)).argmax(1)
    assert (read == splits["test"].labels).double().mean().item() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("criterion", REFERENCE["squared"])
def test_pruned_accuracies_are_those_of_the_reference(measured, loss, criterion):
    expected, tolerance = REFERENCE[loss][criterion]
    np.testing.assert_allclose(measured[criterion], expected, rtol=0, atol=tolerance)


def test_magnitude_and_well_damped_block_keep_what_diagonal_loses(measured):
    middle = [SPARSITIES.index(q) for q in (0.6, 0.7)]
    magnitude, diagonal, block = (measured[name][middle] for name in ("magnitude", "diagonal", "block 0.01"))
    assert (abs(magnitude - block) < 0.06).all()
    assert (np.minimum(magnitude, block) > diagonal + np.array([0.1, 0.2])).all()


def test_damping_decides_about_block(measured):
    low, middle, high = (measured[f"block {damping:g}"][:2].mean() for damping in (1e-6, 1e-4, 1e-2))
    assert low + 0.08 < min(middle, high)


@pytest.mark.parametrize(("names", "sparsity", "expected"), RECOVERED, ids=lambda value: str(value))
def test_recovered_accuracies_are_those_of_the_reference(names, sparsity, expected, weights, heads, splits):
    head, train = heads["cross_entropy"], splits["train"]
    dense, backbone = (load_backbone(SETTINGS, weights, torch.device("cpu")) for _ in range(2))
    scores = {name: weight.detach().abs().numpy() for name, weight in dense.prunable().items()}
    mask = {name: torch.from_numpy(keep) for name, keep in global_mask(scores, sparsity).items()}
    backbone.prune(mask)
    for name in names:
        recovery = find("recoveries", name)
        given = (head, train) if recovery.needs["labels"] else (None, replace(train, labels=None))
        recovery.function(Case(backbone, dense, mask, *given, 0), **RECOVERIES[name])
    test = splits["test"]
    correct = head(extract_features(backbone, test.images)).argmax(1) == test.labels
    assert correct.float().mean().item() == pytest.approx(expected, abs=0.03)
