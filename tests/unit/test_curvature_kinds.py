"""Every choice of curvature against brute force: explicit Jacobians and Hessians, and bounds on what is drawn.

With J_i = ∂f_i/∂w and the Hessian H_i of image i's loss by its outputs f_i, the generalised Gauss–Newton matrix is
1/m Σ_i J_iᵀ H_i J_i.
"""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor
from unit.networks import BACKBONES, backbone_of, head_of, images_of, weights_of

from prunetransfer.criteria.block import block
from prunetransfer.criteria.diagonal import diagonal
from prunetransfer.criteria.source import Source
from prunetransfer.curvature import gradients
from prunetransfer.curvature.grad_outputs import MATRICES, grad_outputs
from prunetransfer.curvature.gradients import layer_gradients
from prunetransfer.heads import Head
from prunetransfer.heads.losses import LOSSES
from prunetransfer.models.backbones import Backbone

IMAGES = images_of(5)
BLOCK, DAMPING = 7, 1e-2

Tensors = dict[str, Tensor]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(gradients, "IMAGES_AT_ONCE", 3)


@pytest.fixture(params=BACKBONES)
def backbone(request) -> Backbone:
    return backbone_of(request.param).double()


def written_out(loss: str, outputs: Tensor, label: Tensor) -> Tensor:
    """The loss of one image's outputs [classes]."""
    if loss == "squared":
        return 0.5 * ((outputs - torch.eye(len(outputs)).to(outputs)[label]) ** 2).sum()
    return outputs.exp().sum().log() - outputs[label]


def explicit_ggn(backbone: Backbone, head: Head, loss: str) -> Tensors:
    """Name → the layer's own part [p, p] of the generalised Gauss–Newton matrix."""
    weights = backbone.prunable()
    found = dict.fromkeys(weights, 0.0)
    for image, label in zip(IMAGES.images, IMAGES.labels, strict=True):
        outputs = head(backbone(image[None]))[0]
        hessian = torch.func.hessian(functools.partial(written_out, loss))(outputs.detach(), label)
        rows = [torch.autograd.grad(f, list(weights.values()), retain_graph=True) for f in outputs]
        for name, column in zip(weights, zip(*rows, strict=True), strict=True):
            jacobian = torch.stack([g.flatten() for g in column])
            found[name] = found[name] + jacobian.T @ hessian @ jacobian / len(IMAGES.labels)
    return found


def explicit_inverse(matrix: Tensor) -> Tensor:
    """[(F_b + λI)⁻¹]_jj of blocks of BLOCK weights."""
    parts = [matrix[k : k + BLOCK, k : k + BLOCK] for k in range(0, len(matrix), BLOCK)]
    return torch.cat([torch.linalg.inv(part + DAMPING * torch.eye(len(part)).double()).diagonal() for part in parts])


def assembled(backbone: Backbone, head: Head, curvature: str, loss: str, draws: int | None = None) -> Tensors:
    """Name → [p, p], from the per-sample gradients of what is propagated back."""
    chosen = grad_outputs(curvature, loss, draws, seed=0)
    found: Tensors = {}
    for batch in layer_gradients(backbone, head, IMAGES.images, IMAGES.labels, chosen):
        for name, layer in batch.items():
            g = layer.materialise().flatten(1)
            found[name] = found.get(name, 0) + g.T @ g / len(IMAGES.labels)
    return found


def diagonal_of(
    backbone: Backbone, head: Head, curvature: str, loss: str, draws: int | None = None, seed: int = 0
) -> Tensors:
    """The F_jj that the score was made of, on all images."""
    scores = diagonal(Source(backbone, head, IMAGES, seed), loss=loss, matrix=curvature, draws=draws, samples=5)
    return {name: scores[name] / (0.5 * w.square()) for name, w in weights_of(backbone).items()}


def block_of(backbone: Backbone, head: Head, curvature: str, loss: str, draws: int | None = None) -> Tensors:
    """The [(F_b + λI)⁻¹]_jj that the score was made of, on all images."""
    settings = {"loss": loss, "matrix": curvature, "draws": draws, "samples": 5}
    scores = block(Source(backbone, head, IMAGES), **settings, block_size=BLOCK, damping=DAMPING)
    return {name: 0.5 * w.square() / scores[name] for name, w in weights_of(backbone).items()}


def assert_near(found: Tensors, expected: Tensors, tolerance: float) -> None:
    """Equal up to `tolerance` relative to each layer's norm."""
    assert list(found) == list(expected)
    for name, values in expected.items():
        values = values.view_as(found[name])
        assert (found[name] - values).norm() <= tolerance * values.norm(), name


# --- Gauss–Newton and Fisher ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_ggn_is_exact(backbone, loss):
    head = head_of(backbone)
    expected = explicit_ggn(backbone, head, loss)
    diagonals = {name: matrix.diagonal() for name, matrix in expected.items()}
    assert all(values.norm() > 1e-3 for values in diagonals.values())  # vanished curvature would prove nothing
    assert_near(assembled(backbone, head, "ggn", loss), expected, 1e-10)
    assert_near(diagonal_of(backbone, head, "ggn", loss), diagonals, 1e-10)
    # the inverse is handed on in float32
    inverses = {name: explicit_inverse(matrix) for name, matrix in expected.items()}
    assert_near(block_of(backbone, head, "ggn", loss), inverses, 1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_empirical_is_the_gradient_of_the_loss(loss):
    outputs, labels = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), IMAGES.labels
    (found,) = grad_outputs("empirical", loss, None, seed=0)(outputs, labels)
    alone = torch.func.grad(functools.partial(written_out, loss))
    expected = torch.stack([alone(f, y) for f, y in zip(outputs, labels, strict=True)])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("curvature", ["fisher", "ggn"])
@pytest.mark.parametrize("loss", LOSSES)
def test_drawn_vectors_make_up_the_hessian_by_the_outputs(curvature, loss):
    """By expectation: every entry lies within 5 standard errors of 20,000 draws."""
    draws = 20_000
    outputs = 2 * torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    label = torch.tensor(0)  # both Hessians are the same whatever the label
    expected = torch.stack([torch.func.hessian(functools.partial(written_out, loss))(f, label) for f in outputs])
    v = torch.stack(list(grad_outputs(curvature, loss, draws, seed=0)(outputs, torch.zeros(4).long())))
    products = draws * v[..., :, None] * v[..., None, :]  # [draws, images, classes, classes]
    error = (products.mean(0) - expected).abs()
    standard_error = products.std(0) / draws**0.5
    assert (error <= 5 * standard_error).all()
    assert standard_error.max() < 0.02  # so the bound says something


@pytest.mark.parametrize("loss", LOSSES)
def test_many_draws_approach_ggn(backbone, loss):
    """The error falls as 1/√draws: to a few percent of ggn's norm at 300, and is much larger at one."""
    head = head_of(backbone)
    exact = diagonal_of(backbone, head, "ggn", loss)
    inverse = block_of(backbone, head, "ggn", loss)
    many = diagonal_of(backbone, head, "fisher", loss, draws=300)
    assert_near(many, exact, 0.15)
    assert_near(block_of(backbone, head, "fisher", loss, draws=300), inverse, 0.15)
    one = diagonal_of(backbone, head, "fisher", loss)
    assert all((one[name] - values).norm() > 2 * (many[name] - values).norm() for name, values in exact.items())


@pytest.mark.parametrize("loss", LOSSES)
def test_draws_depend_on_the_seed_and_not_on_the_batches(loss, monkeypatch):
    backbone = backbone_of("conv").double()
    head = head_of(backbone)
    first = diagonal_of(backbone, head, "fisher", loss, draws=2)
    other = diagonal_of(backbone, head, "fisher", loss, draws=2, seed=1)
    assert not torch.allclose(first["fc.weight"], other["fc.weight"], rtol=1e-2)
    same = diagonal_of(backbone, head, "ggn", loss, draws=2)
    assert all(torch.equal(first[name], values) for name, values in same.items())
    monkeypatch.setattr(gradients, "IMAGES_AT_ONCE", 64)
    assert_near(diagonal_of(backbone, head, "fisher", loss, draws=2), first, 1e-12)


@pytest.mark.parametrize(("curvature", "draws"), [(name, None) for name in MATRICES] + [("fisher", 2), ("ggn", 2)])
def test_block_propagates_the_same_vectors_back_as_diagonal(curvature, draws):
    backbone = backbone_of("conv").double()
    head = head_of(backbone)
    matrices = assembled(backbone, head, curvature, "cross_entropy", draws)
    found = block_of(backbone, head, curvature, "cross_entropy", draws)
    assert_near(found, {name: explicit_inverse(matrix) for name, matrix in matrices.items()}, 1e-6)
    found = diagonal_of(backbone, head, curvature, "cross_entropy", draws)
    assert_near(found, {name: matrix.diagonal() for name, matrix in matrices.items()}, 1e-10)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="no such curvature: 'hutchinson'; there are empirical, fisher, ggn"):
        grad_outputs("hutchinson", "squared", None, seed=0)
    with pytest.raises(ValueError, match="empirical curvature draws nothing, so draws must be left out, not 3"):
        grad_outputs("empirical", "squared", 3, seed=0)
