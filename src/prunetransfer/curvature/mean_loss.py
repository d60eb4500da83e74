"""The gradient of a task's mean loss, and products with its Hessian, as tensors of the weights' shapes.

L(W) = 1/m Σ_i ℓ(f(x_i; W), y_i) is summed up batch by batch, so that no graph holds more than a batch. No `.grad` is
touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from prunetransfer.curvature.task import Task
from prunetransfer.heads.losses import LOSSES

# Of what a batch adds to L, and the weights: one tensor a weight.
Derivative = Callable[[Tensor, Sequence[Tensor]], Sequence[Tensor]]


def gradient(task: Task, loss: str) -> dict[str, Tensor]:
    """∇L: name → tensor. loss: ℓ, a name of `LOSSES`, whichever the head was fitted by."""
    return _summed(task, loss, lambda value, weights: torch.autograd.grad(value, weights, materialize_grads=True))


def hessian_product(task: Task, loss: str, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """(∇²L) v: name → tensor, exactly, by differentiating ∇Lᵀv (Pearlmutter 1994). loss: as of `gradient`.

    vector: v, name → tensor. Fused attention cannot be differentiated twice: call it inside
    `operators.differentiable()`.
    """

    def product(value: Tensor, weights: Sequence[Tensor]) -> Sequence[Tensor]:
        slopes = torch.autograd.grad(value, weights, create_graph=True, materialize_grads=True)
        along = sum((slope * v).sum() for slope, v in zip(slopes, vector.values(), strict=True))
        return torch.autograd.grad(along, weights, materialize_grads=True)

    return _summed(task, loss, product)


def _summed(task: Task, loss: str, derivative: Derivative) -> dict[str, Tensor]:
    task.backbone.eval()
    weights = {name: weight.requires_grad_() for name, weight in task.backbone.prunable().items()}
    sums = {name: torch.zeros_like(weight) for name, weight in task.weights().items()}
    for images, labels in task.batches():
        value = LOSSES[loss](task.head(task.backbone(images)), labels).sum() / task.images
        for total, part in zip(sums.values(), derivative(value, list(weights.values())), strict=True):
            total += part
    return sums
