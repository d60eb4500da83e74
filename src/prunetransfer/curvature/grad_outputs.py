"""What is propagated back from the outputs, so that the gradients that arrive make up one curvature or another.

With J_i = ∂f_i/∂w [classes, p] of image i, each matrix here is 1/m Σ_i Σ_v (J_iᵀ v)(J_iᵀ v)ᵀ over vectors v [classes]
of that image. This is 1/m Σ_i J_iᵀ (Σ_v v vᵀ) J_i, of which each matrix chooses the middle. `squared` is ½‖f − y‖² on
one-hot targets y, the negative log-likelihood of y ~ N(f, I); `cross_entropy` is that of y ~ softmax(f) = p.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from prunetransfer.curvature.gradients import GradOutputs, loss_gradient
from prunetransfer.heads.losses import LOSSES

MATRICES = ("empirical", "fisher", "ggn")


def grad_outputs(matrix: str, loss: str, draws: int | None, seed: int) -> GradOutputs:
    """The vectors v that make up one matrix of one loss.

    - `empirical`: v = ∇_f of the loss, one, with the labels as given. The empirical Fisher: no approximation of the
      Hessian where the labels are not what the model expects (Kunstner, Balles, Hennig 2019, arXiv 1905.12558).
    - `fisher`: v = that of a label drawn from the model, `draws` times (default 1), each over √draws; by expectation
      the Fisher information, which is the generalised Gauss–Newton matrix for both losses (Martens 2020, JMLR 21:146).
    - `ggn`: Σ_v v vᵀ = ∇²_f of the loss exactly, one v a class (Schraudolph 2002; Botev, Ritter, Barber 2017, arXiv
      1706.03662). With `draws`, that many draws of `fisher` in their place, as classes may be many.

    What an image draws depends on `seed` and its place among the images, not on how they are batched. What is returned
    goes on drawing: a second pass over the same images takes a new call with the same `seed`. Raises ValueError for
    another matrix, and for `draws` where nothing is drawn.
    """
    if matrix not in MATRICES:
        raise ValueError(f"no such curvature: {matrix!r}; there are {', '.join(MATRICES)}")
    if matrix == "empirical":
        if draws is not None:
            raise ValueError(f"empirical curvature draws nothing, so draws must be left out, not {draws}")
        return loss_gradient(LOSSES[loss])
    if matrix == "ggn" and draws is None:
        return lambda outputs, labels: HESSIAN_FACTORS[loss](outputs)
    count = 1 if draws is None else draws
    # A stream of its own: the same seed also chose the images.
    generator = np.random.default_rng([seed, 1])

    def sampled(outputs: Tensor, labels: Tensor) -> Iterable[Tensor]:
        return (SAMPLED_GRADIENTS[loss](outputs, count, generator) / math.sqrt(count)).unbind(1)

    return sampled


def _squared_factors(outputs: Tensor) -> Iterable[Tensor]:
    """∇²_f = I = Σ_c e_c e_cᵀ. outputs [n, classes]; yields [n, classes] for each class."""
    return (e.expand_as(outputs) for e in torch.eye(outputs.shape[1]).to(outputs))


def _cross_entropy_factors(outputs: Tensor) -> Iterable[Tensor]:
    """∇²_f = diag(p) − p pᵀ = Σ_c v_c v_cᵀ with v_c = √p_c (e_c − p). As `_squared_factors`."""
    p = outputs.softmax(1)
    return (p[:, c : c + 1].sqrt() * (e - p) for c, e in enumerate(torch.eye(outputs.shape[1]).to(outputs)))


def _squared_samples(outputs: Tensor, draws: int, generator: np.random.Generator) -> Tensor:
    """f − y for y ~ N(f, I): standard normal noise. outputs [n, classes]; returns [n, draws, classes]."""
    n, classes = outputs.shape
    return torch.from_numpy(generator.standard_normal((n, draws, classes))).to(outputs)


def _cross_entropy_samples(outputs: Tensor, draws: int, generator: np.random.Generator) -> Tensor:
    """p − e_y for y ~ p, found where uniform numbers fall among the sums of p. As `_squared_samples`."""
    p = outputs.double().softmax(1)
    uniform = torch.from_numpy(generator.random((len(outputs), draws))).to(p)
    # Rounding can leave the last sum below 1.
    drawn = torch.searchsorted(p.cumsum(1), uniform, right=True).clamp(max=p.shape[1] - 1)
    return (p[:, None] - torch.eye(p.shape[1]).to(p)[drawn]).to(outputs)


HESSIAN_FACTORS = {"squared": _squared_factors, "cross_entropy": _cross_entropy_factors}
SAMPLED_GRADIENTS = {"squared": _squared_samples, "cross_entropy": _cross_entropy_samples}
