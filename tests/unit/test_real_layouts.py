"""Scores and recoveries on what `build_backbone` returns, in its layout, against float64 references; all architectures.

References see sampled blocks of each layer, as an architecture has millions of weights. What takes minutes on the
studies' own networks is tried on a small one of each family.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from unit.reference import CLASSES, backbone_of, head_of, images_of
from unit.test_architectures import FAMILIES, SMALL, network_of
from unit.test_recoveries import assert_least_squares, assert_moments

from prunetransfer.criteria.source import Source
from prunetransfer.datasets.splits import Split, uniform_subset
from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone
from prunetransfer.recovery import batchnorm, compensate, moments, reconstruct
from prunetransfer.recovery import case as recovery_case
from prunetransfer.settings.registry import find

COUNT, BLOCK, SAMPLED, DAMPING = 3, 8, 4, 1e-2
DRAW = {"loss": "squared", "samples": COUNT, "sampling": "uniform"}
RELATIVE = 0.1
SETTINGS = {
    "magnitude": {},
    "diagonal": DRAW,
    "damped": DRAW | {"relative": RELATIVE},
    "block": DRAW | {"block_size": BLOCK, "damping": DAMPING},
    "features": {"samples": COUNT, "draws": 1, "relative": RELATIVE},
}


class Case:
    """A float64 backbone in the layout of `build_backbone`, the same pruned, a mask of about half, head and images."""

    def __init__(self, name: str):
        architecture, options, size = FAMILIES[name]
        self.dense = backbone_of(network_of(architecture, **options)).double()
        images = images_of(size, COUNT)
        self.head = head_of(self.dense, images)
        self.train = Split(images, torch.arange(COUNT) % CLASSES, ("a", "b", "c", "d"))
        generator = torch.Generator().manual_seed(0)
        self.mask = {k: torch.rand(w.shape, generator=generator) < 0.5 for k, w in self.dense.prunable().items()}
        self.pruned = copy.deepcopy(self.dense)
        self.pruned.prune(self.mask)

    def assert_mask_kept(self) -> None:
        for name, weight in self.pruned.prunable().items():
            assert (weight[~self.mask[name]] == 0).all(), name


@pytest.fixture(params=FAMILIES)
def case(request) -> Case:
    return Case(request.param)


def blocks_of(weights: dict[str, nn.Parameter]) -> dict[str, list[slice]]:
    """Name → some blocks of BLOCK consecutive weights, the last of the layer among them."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, weight in weights.items():
        starts = torch.arange(0, weight.numel(), BLOCK)
        chosen = [*starts[torch.randint(len(starts), (SAMPLED,), generator=generator)].tolist(), int(starts[-1])]
        found[name] = [slice(start, min(start + BLOCK, weight.numel())) for start in chosen]
    return found


def image_by_image(backbone: Backbone, head: Head, train: Split) -> Iterator[dict[str, Tensor]]:
    """Name → gradient of ½‖f − y‖², by an ordinary backward pass an image."""
    for image, label in zip(train.images, train.labels, strict=True):
        loss = 0.5 * (head(backbone(image[None])) - F.one_hot(label, CLASSES).double()).square().sum()
        yield gradient_of(loss, backbone)


def direction_by_direction(backbone: Backbone, train: Split) -> Iterator[dict[str, Tensor]]:
    """Name → gradient of vᵀφ(x) for the direction v that each image draws in its turn."""
    draw = np.random.default_rng([0, 1])
    for image in train.images[uniform_subset(train.labels, COUNT, 0)]:
        features = backbone(image[None])
        yield gradient_of((features * torch.from_numpy(draw.standard_normal(features.shape))).sum(), backbone)


def gradient_of(number: Tensor, backbone: Backbone) -> dict[str, Tensor]:
    weights = backbone.prunable()
    gradients = torch.autograd.grad(number, list(weights.values()), materialize_grads=True)
    return dict(zip(weights, gradients, strict=True))


def median_curvature(gradients: Iterator[dict[str, Tensor]]) -> float:
    """The median of the F_jj above 0 of all prunable weights."""
    sums: dict[str, Tensor] = {}
    for of_image in gradients:
        for name, g in of_image.items():
            sums[name] = sums.get(name, 0) + g.double().square()
    curvature = torch.cat([total.flatten() for total in sums.values()]) / COUNT
    return curvature[curvature > 0].median().item()


def in_blocks(backbone: Backbone, each: Iterator[dict[str, Tensor]]) -> Iterator[tuple[str, slice, Tensor]]:
    """Name, block and rows g_ib [m, B], of the blocks of `blocks_of`."""
    blocks, rows = blocks_of(backbone.prunable()), {}
    for gradients in each:
        for name, g in gradients.items():
            for k, b in enumerate(blocks[name]):
                rows.setdefault((name, k), []).append(g.flatten()[b].clone())
    for (name, k), found in rows.items():
        yield name, blocks[name][k], torch.stack(found)


def gradients_of(backbone: Backbone, head: Head, train: Split) -> Iterator[tuple[str, slice, Tensor]]:
    return in_blocks(backbone, image_by_image(backbone, head, train))


def test_the_layout_is_channels_last():
    weights = Case("resnet").dense.prunable()
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights.values())
    assert not weights["layer1.0.conv1.weight"].is_contiguous()


def test_scores(case):
    dense = case.dense
    weights = {name: w.detach() for name, w in dense.prunable().items()}
    scores = {
        name: find("scores", name).function(Source(dense, case.head, case.train), **settings)
        for name, settings in SETTINGS.items()
    }
    median = median_curvature(image_by_image(dense, case.head, case.train))
    median_of_features = median_curvature(direction_by_direction(dense, case.train))
    of_loss = gradients_of(dense, case.head, case.train)
    of_features = in_blocks(dense, direction_by_direction(dense, case.train))
    for (name, b, g), (_, _, v) in zip(of_loss, of_features, strict=True):
        w = weights[name].flatten()[b]
        h = g.T @ g / COUNT + DAMPING * torch.eye(len(w), dtype=torch.float64)
        expected = {
            "magnitude": w.square() / 2,
            "diagonal": w.square() / 2 * g.square().mean(0),
            "damped": w.square() / 2 * (g.square().mean(0) + RELATIVE * median),
            "block": w.square() / 2 / torch.linalg.inv(h).diagonal(),
            "features": w.square() / 2 * (v.square().mean(0) + RELATIVE * median_of_features),
        }
        assert scores.keys() == expected.keys()
        for kind, values in expected.items():
            assert scores[kind][name].shape == weights[name].shape
            torch.testing.assert_close(scores[kind][name].flatten()[b].double(), values, rtol=1e-4, atol=0, msg=name)


def test_compensate(case):
    before = {name: w.detach().flatten().clone() for name, w in case.pruned.prunable().items()}
    settings = DRAW | {"block_size": BLOCK, "damping": DAMPING}
    compensate.compensate(recovery_case.Case(case.pruned, case.dense, case.mask, case.head, case.train, 0), **settings)
    case.assert_mask_kept()
    for name, b, g in gradients_of(case.dense, case.head, case.train):
        w, k = case.dense.prunable()[name].detach().flatten()[b], case.mask[name].flatten()[b]
        h = g.T @ g / COUNT + DAMPING * torch.eye(len(w), dtype=torch.float64)
        expected = before[name][b].clone()
        expected[k] += torch.linalg.solve(h[k][:, k], h[k][:, ~k] @ w[~k])
        torch.testing.assert_close(case.pruned.prunable()[name].detach().flatten()[b], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", SMALL, indirect=True)
def test_reconstruct(case):
    before = {name: w.detach().clone() for name, w in case.pruned.prunable().items()}
    settings = {"samples": COUNT, "positions": 10**6, "ridge": 1e-3}
    reconstruct.reconstruct(recovery_case.Case(case.pruned, case.dense, case.mask, None, case.train, 0), **settings)
    case.assert_mask_kept()
    assert_least_squares(case.pruned, case.dense, case.mask, before, case.train.images)


@pytest.mark.parametrize("case", SMALL, indirect=True)
def test_moments(case):
    moments.moments(recovery_case.Case(case.pruned, case.dense, case.mask, None, case.train, 0), samples=COUNT)
    case.assert_mask_kept()
    matched, channels = zip(*assert_moments(case.pruned, case.dense, case.train.images), strict=True)
    assert sum(matched) > 0.6 * sum(channels)  # of random networks many are dead


@pytest.mark.parametrize("case", SMALL, indirect=True)
def test_batchnorm(case):
    if not batchnorm.batchnorms(case.pruned):
        pytest.skip("no batch normalisation")
    plain = copy.deepcopy(case.pruned).to(memory_format=torch.contiguous_format)
    for backbone in (case.pruned, plain):
        batchnorm.batchnorm(recovery_case.Case(backbone, case.dense, case.mask, None, case.train, 0), samples=COUNT)
    case.assert_mask_kept()
    torch.testing.assert_close(case.pruned.network.state_dict(), plain.network.state_dict())
