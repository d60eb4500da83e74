"""The label-free score against brute force: a backward pass for each drawn direction of each image, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from unit.networks import BACKBONES, backbone_of, images_of, state_of, weights_of

from prunetransfer.criteria.features import LEAST_VARIANCE, features, whitening
from prunetransfer.criteria.source import Source
from prunetransfer.curvature import gradients
from prunetransfer.datasets.splits import Split, uniform_subset
from prunetransfer.models.backbones import Backbone, extract_features

IMAGES = images_of(7)
SEED, RELATIVE = 3, 0.1

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(gradients, "IMAGES_AT_ONCE", 3)


@pytest.fixture(params=BACKBONES)
def backbone(request) -> Backbone:
    return backbone_of(request.param).double()


def drawn_images() -> Tensor:
    """All images, in the order in which they are drawn."""
    return IMAGES.images[uniform_subset(IMAGES.labels, len(IMAGES.labels), SEED)]


def explicit(backbone: Backbone, draws: int, units: Tensor) -> dict[str, Tensor]:
    """½ w² (F_jj + λ), F_jj the mean square of ∂ vᵀSᵀφ(x)/∂w_j over images x and directions v; units: S."""
    weights, drawn = backbone.prunable(), drawn_images()
    directions = np.random.default_rng([SEED, 1]).standard_normal((len(drawn), draws, units.shape[1]))
    sums = {name: torch.zeros_like(w) for name, w in weights.items()}
    for image, of_image in zip(drawn, torch.from_numpy(directions), strict=True):
        for v in of_image:
            moved = (backbone(image[None])[0] @ units * v).sum()
            for name, g in zip(weights, torch.autograd.grad(moved, list(weights.values())), strict=True):
                sums[name] += g.square() / (len(drawn) * draws)
    curvature = torch.cat([f.flatten() for f in sums.values()])
    damping = RELATIVE * curvature[curvature > 0].median()
    return {name: (w.square() / 2 * (sums[name] + damping)).detach() for name, w in weights.items()}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-8, atol=1e-12 * values.max().item(), msg=name)


@pytest.mark.parametrize("draws", [1, 4])
def test_it_is_its_formula(backbone, draws):
    before = state_of(backbone)
    found = features(Source(backbone, None, IMAGES, SEED), relative=RELATIVE, draws=draws)
    width = extract_features(backbone, IMAGES.images).shape[1]
    assert_same(found, explicit(backbone, draws, torch.eye(width).double()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.network.state_dict().items())


def test_it_is_its_formula_in_units_of_how_features_vary(backbone):
    found = features(Source(backbone, None, IMAGES, SEED), relative=RELATIVE, whiten=True)
    assert_same(found, explicit(backbone, 1, whitening(extract_features(backbone, drawn_images()))))
    plain = features(Source(backbone, None, IMAGES, SEED), relative=RELATIVE)
    assert not any(torch.allclose(found[name], values, rtol=0.1) for name, values in plain.items())


def test_many_draws_approach_the_trace_over_all_features():
    """By expectation F_jj is Σ_k (∂φ_k(x)/∂w_j)², averaged over the images."""
    backbone = backbone_of("conv").double()
    weights = backbone.prunable()
    sums = {name: torch.zeros_like(w) for name, w in weights.items()}
    for image in IMAGES.images:
        for feature in backbone(image[None])[0]:
            rows = torch.autograd.grad(feature, list(weights.values()), retain_graph=True)
            for name, g in zip(weights, rows, strict=True):
                sums[name] += g.square() / len(IMAGES.labels)
    scores = features(Source(backbone, None, IMAGES), relative=1e-9, draws=300)
    for name, w in weights_of(backbone).items():
        found = scores[name] / (w.square() / 2)
        assert (found - sums[name]).norm() < 0.15 * sums[name].norm(), name


@pytest.mark.parametrize("images", [4, 50], ids=["fewer images than features", "more"])
def test_whitened_features_vary_alike_in_every_direction(images):
    phi = torch.randn(images, 6, generator=torch.Generator().manual_seed(0)).double() * 10.0 ** torch.arange(-3, 3)
    phi[:, 0] = phi[:, 1] - phi[:, 2]  # a direction in which no image differs
    centred = phi - phi.mean(0)
    covariance = centred.T @ centred / images
    covariance += LEAST_VARIANCE * covariance.trace() / 6 * torch.eye(6).double()
    units = whitening(phi)
    torch.testing.assert_close(units.T @ covariance @ units, torch.eye(6).double(), rtol=0, atol=1e-10)
    # The same from images in any order, though eigenvectors are free in their signs.
    torch.testing.assert_close(whitening(phi.flip(0)), units, rtol=1e-8, atol=1e-8 * units.abs().max().item())


def test_labels_and_the_head_have_no_part(backbone):
    unlabelled = Split(IMAGES.images, torch.zeros_like(IMAGES.labels), ("a", "b", "c"))
    found = features(Source(backbone, None, unlabelled, SEED), samples=5)
    assert_same(found, features(Source(backbone, None, IMAGES, SEED), samples=5))
    assert not torch.equal(
        *(features(Source(backbone, None, IMAGES, seed), samples=5)[next(iter(found))] for seed in (SEED, SEED + 1))
    )


def test_single_precision_is_close(backbone):
    double = features(Source(backbone, None, IMAGES, SEED))
    single = features(Source(backbone.float(), None, IMAGES, SEED))
    assert all(values.dtype == torch.float32 for values in single.values())
    for name, values in double.items():
        torch.testing.assert_close(single[name].double(), values, rtol=1e-3, atol=1e-3 * values.max().item())
