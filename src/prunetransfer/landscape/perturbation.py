"""What a mask does to a task's loss, as the derivatives at the dense weights predict it and as it is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from prunetransfer.curvature.operators import differentiable, flat, ggn, hessian
from prunetransfer.curvature.task import Task
from prunetransfer.pruning.apply import pruned


class Surroundings:
    """Loss, gradient, Gauss–Newton matrix and Hessian of a task at its dense weights W."""

    def __init__(self, task: Task):
        self.task = task
        self.weights = task.weights()
        self.ggn, self.hessian = ggn(task), hessian(task)
        gradient, loss = self.ggn.gradient_and_loss()
        self.gradient, self.loss = flat(gradient), loss.item()

    @torch.no_grad()
    def predict(self, mask: Mapping[str, Tensor]) -> dict[str, float]:
        """The terms of L(W + δ) − L(W) ≈ gᵀδ + ½ δᵀHδ for δ = W⊙c − W, and ½ δᵀGδ, each from one product.

        mask: name → bool tensor. Returns distance ‖δ‖, first_order gᵀδ, hessian_term ½ δᵀHδ, their sum
        second_order, and ggn_term ½ δᵀGδ.
        """
        delta = flat(weight * ~mask[name] for name, weight in self.weights.items()).neg()
        with differentiable():
            ggn_term, hessian_term = ((0.5 * (delta @ (matrix @ delta))).item() for matrix in (self.ggn, self.hessian))
        first_order = (self.gradient @ delta).item()
        return {
            "distance": delta.norm().item(),
            "first_order": first_order,
            "ggn_term": ggn_term,
            "hessian_term": hessian_term,
            "second_order": first_order + hessian_term,
        }

    @torch.no_grad()
    def path(self, mask: Mapping[str, Tensor], steps: int) -> dict[float, float]:
        """t → L(W + tδ) at t = 0, 1/steps, …, 1: from the dense weights to the pruned ones."""
        losses = {0.0: self.loss}
        for step in range(1, steps + 1):
            t = step / steps
            with pruned(self.task.backbone, mask, share=t):
                losses[t] = self.task.loss()
        return losses
