"""Second derivatives of a task's loss by all prunable weights, as matrices that are only ever multiplied with.

Weights are flattened and joined in their order: vectors have p entries.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import torch
from curvlinops import GGNLinearOperator, HessianLinearOperator
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from prunetransfer.curvature.task import Task

Operator = GGNLinearOperator | HessianLinearOperator


class _Outputs(nn.Module):
    def __init__(self, task: Task):
        super().__init__()
        self.backbone, self.head = task.backbone.eval(), task.head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images))


class _MeanLoss(nn.Module):
    reduction = "mean"

    def __init__(self, task: Task):
        super().__init__()
        self.head = task.head

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return self.head.loss(outputs, labels).mean()


def ggn(task: Task) -> GGNLinearOperator:
    """G = 1/m Σ_i J_iᵀ ∇²ℓ_i J_i [p, p], the generalised Gauss–Newton matrix (Schraudolph 2002), J_i = ∂f_i/∂W.

    Products with curvlinops (Dangel, Eschenhagen, Ormaniec et al. 2025, arXiv 2501.19183), inside `differentiable()`.
    """
    return _operator(GGNLinearOperator, task)


def hessian(task: Task) -> HessianLinearOperator:
    """H = ∇²L [p, p], otherwise as `ggn`; a product costs two passes more (Pearlmutter 1994)."""
    return _operator(HessianLinearOperator, task)


def differentiable() -> contextlib.AbstractContextManager:
    """Where operators are multiplied: fused attention can be differentiated once only."""
    return sdpa_kernel(SDPBackend.MATH)


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """One tensor a weight, in their order → [p]."""
    return torch.cat([tensor.flatten() for tensor in tensors])


def _operator(kind: type[Operator], task: Task) -> Operator:
    weights = [weight.requires_grad_() for weight in task.backbone.prunable().values()]
    data = list(task.batches())
    return kind(_Outputs(task), _MeanLoss(task), weights, data, check_deterministic=False, num_data=task.images)
