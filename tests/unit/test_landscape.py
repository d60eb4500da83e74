"""Curvature products, eigenpairs and predictions against dense float64 matrices of tiny networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd.functional import hessian, jacobian
from torch.func import functional_call
from unit.networks import BACKBONES, CLASSES, backbone_of, head_of, images_of

from prunetransfer.curvature import task
from prunetransfer.curvature.operators import differentiable, flat
from prunetransfer.curvature.task import Task
from prunetransfer.landscape import spectrum
from prunetransfer.landscape.perturbation import Surroundings

# torch computes a ViT's attention image after image under vmap, and says so each time.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")

EXACT = {"rtol": 1e-9, "atol": 1e-12}
CASES = [(name, kind) for name in BACKBONES for kind in ("ridge", "logistic")]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def tiny(request) -> Iterator[Task]:
    """A task of seven images in three batches, in float64."""
    name, kind = request.param
    backbone = backbone_of(name).double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "IMAGES_AT_ONCE", 3)
        yield Task(backbone, replace(head_of(backbone), kind=kind), images_of(7))


@pytest.fixture(scope="module")
def dense(tiny) -> Dense:
    return Dense(tiny)


class Dense:
    """Loss, gradient g, Hessian H and Gauss–Newton matrix G of a task, as torch has them in full."""

    def __init__(self, task: Task):
        self.task, self.weights = task, task.weights()
        self.w = flat(self.weights.values())
        self.g = jacobian(self.loss, self.w)
        with differentiable():
            self.H = hessian(self.loss, self.w)
            J = jacobian(self.outputs, self.w)  # [m, classes, p]
            outputs = self.outputs(self.w).detach()
        self.G = sum(j.T @ self.output_hessian(f) @ j for j, f in zip(J, outputs, strict=True)) / len(J)

    def outputs(self, w: Tensor) -> Tensor:
        parts = w.split([weight.numel() for weight in self.weights.values()])
        swapped = {f"network.{n}": p.view_as(x) for (n, x), p in zip(self.weights.items(), parts, strict=True)}
        return self.task.head(functional_call(self.task.backbone, swapped, (self.task.sample.images,)))

    def loss(self, w: Tensor) -> Tensor:
        f, y = self.outputs(w), torch.eye(CLASSES, dtype=w.dtype)[self.task.sample.labels]
        if self.task.head.kind == "ridge":
            return 0.5 * (f - y).square().sum() / len(f)
        return (f.logsumexp(1) - (f * y).sum(1)).mean()

    def output_hessian(self, f: Tensor) -> Tensor:
        p = f.softmax(0)
        return torch.eye(CLASSES, dtype=f.dtype) if self.task.head.kind == "ridge" else p.diag() - p.outer(p)


def test_a_mask_is_predicted_by_the_dense_matrices(tiny, dense):
    generator = torch.Generator().manual_seed(0)
    mask = {name: torch.rand(w.shape, generator=generator) > 0.4 for name, w in tiny.weights().items()}
    delta = -dense.w * ~flat(mask.values())
    surroundings = Surroundings(tiny)
    found = surroundings.predict(mask)
    expected = {
        "distance": delta.norm(),
        "first_order": dense.g @ delta,
        "ggn_term": 0.5 * delta @ dense.G @ delta,
        "hessian_term": 0.5 * delta @ dense.H @ delta,
        "second_order": dense.g @ delta + 0.5 * delta @ dense.H @ delta,
    }
    assert found == pytest.approx({name: value.item() for name, value in expected.items()}, rel=1e-9)
    assert abs(found["ggn_term"] - found["hessian_term"]) > 1e-3 * abs(found["ggn_term"])  # they are not the same thing
    path = surroundings.path(mask, steps=4)
    assert list(path) == [0, 0.25, 0.5, 0.75, 1]
    assert list(path.values()) == pytest.approx([dense.loss(dense.w + t * delta).item() for t in path], rel=1e-9)


def test_a_spectrum_is_that_of_the_dense_matrix(tiny, dense):
    arrays, record = spectrum.compute(tiny, 0, eigenvalues=3, draws=None, hessian_eigenvalue=True)
    values, vectors = torch.linalg.eigh(dense.G)
    np.testing.assert_allclose(arrays["eigenvalues"], values.flip(0)[:3], rtol=1e-3)
    np.testing.assert_allclose(np.abs(arrays["eigenvectors"] @ vectors.flip(1)[:, :3].numpy()), np.eye(3), atol=1e-2)
    np.testing.assert_allclose(arrays["diagonal"], dense.G.diagonal(), **EXACT)
    assert record == {
        "loss": pytest.approx(dense.loss(dense.w).item()),
        "gradient_norm": pytest.approx(dense.g.norm().item()),
        "ggn_trace": pytest.approx(dense.G.trace().item()),
        "relative_trace": pytest.approx((dense.w @ dense.G.diagonal().diag() @ dense.w).item()),
        "hessian_eigenvalue": pytest.approx(torch.linalg.eigvalsh(dense.H)[-1].item(), rel=1e-3),
    }


def test_draws_estimate_the_diagonal(tiny):
    exact, few = spectrum.ggn_diagonal(tiny, None, 0), spectrum.ggn_diagonal(tiny, 300, 0)
    assert (few - exact).norm() < 0.15 * exact.norm()


def test_a_spectrum_needs_more_weights_than_vectors(tiny):
    with pytest.raises(ValueError, match=r"9000 eigenvalues of .* weights: at least 18002 weights are needed"):
        spectrum.compute(tiny, 0, eigenvalues=9000, draws=None, hessian_eigenvalue=False)
