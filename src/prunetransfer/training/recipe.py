"""What fine-tuning and pre-training set alike: optimizer, learning rate over time, epochs and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from prunetransfer.training.optimizers import make_optimizer, warmup_then_cosine, warmup_then_milestones


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    optimizer: `sgd` or `adamw`. schedule: `milestones`, epochs after each of which the learning rate falls tenfold, or
    `cosine`, to zero; both after a linear rise over `warmup` epochs. clip_norm: the largest norm of all gradients.
    """

    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    momentum: float = 0.9
    nesterov: bool = False
    schedule: str = "cosine"
    milestones: Sequence[int] = ()
    warmup: float = 0
    clip_norm: float | None = None

    def optimizer_of(self, network: nn.Module) -> torch.optim.Optimizer:
        return make_optimizer(
            network, self.optimizer, self.learning_rate, self.momentum, self.weight_decay, self.nesterov
        )

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of `step`, counted from 0 over all epochs; steps: those of an epoch."""
        warmup = round(self.warmup * steps)
        if self.schedule == "cosine":
            return self.learning_rate * warmup_then_cosine(step, self.epochs * steps, warmup)
        milestones = [steps * epoch for epoch in self.milestones]
        return self.learning_rate * warmup_then_milestones(step, warmup, milestones)
