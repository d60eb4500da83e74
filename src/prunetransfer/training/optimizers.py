"""How weights follow their gradients, and at which learning rate."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import nn

from prunetransfer.models.backbones import PRUNABLE_LAYERS


def make_optimizer(
    network: nn.Module,
    name: str,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool = False,
) -> torch.optim.Optimizer:
    """`sgd` or `adamw`, whose β₁ is `momentum`, for all parameters; only convolution and linear weights decay.

    Raises ValueError for any other name.
    """
    # Norms, biases and position embeddings scale or shift: decaying them only hurts.
    chosen = {layer.weight for layer in network.modules() if isinstance(layer, PRUNABLE_LAYERS)}
    moving = [weight for weight in network.parameters() if weight.requires_grad]
    decayed = [weight for weight in moving if weight in chosen]
    rest = [weight for weight in moving if weight not in chosen]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
    if name == "sgd":
        return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, nesterov=nesterov)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=learning_rate, betas=(momentum, 0.999))
    raise ValueError(f"optimizer {name!r} is not known; use sgd or adamw")


def warmup_then_cosine(step: int, steps: int, warmup: int) -> float:
    """What the learning rate of `step` (from 0) is multiplied by: a linear rise over `warmup` steps, then to zero."""
    return min(
        (step + 1) / max(1, warmup),
        0.5 * (1 + math.cos(math.pi * max(0, step - warmup) / max(1, steps - warmup))),
    )


def warmup_then_milestones(step: int, warmup: int, milestones: Collection[int]) -> float:
    """The same with a tenfold fall at each of `milestones` (steps)."""
    return min((step + 1) / max(1, warmup), 0.1 ** sum(step >= milestone for milestone in milestones))
