"""What pre-training and fine-tuning share: optimisers, learning rates, augmentation on the device."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunetransfer.backbones import PRUNABLE_LAYERS


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
    decayed = [weight for weight in network.parameters() if weight in chosen]
    rest = [weight for weight in network.parameters() if weight not in chosen]
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


def shift_and_flip(images: Tensor, shift: int) -> Tensor:
    """Each image flipped with probability ½ and moved by up to `shift` pixels (mirrored edges). uint8 [n, h, w, 3]."""
    n, height, width, _ = images.shape
    dy, dx = torch.randint(-shift, shift + 1, (2, n, 1), device=images.device)
    rows = _reflect(torch.arange(height, device=images.device) + dy, height)
    columns = _reflect(torch.arange(width, device=images.device) + dx, width)
    flip = torch.rand(n, 1, device=images.device) < 0.5
    columns = torch.where(flip, width - 1 - columns, columns)
    return images[torch.arange(n, device=images.device)[:, None, None], rows[:, :, None], columns[:, None, :]]


def crop_and_flip(images: Tensor, least: float, generator: torch.Generator) -> Tensor:
    """Each image flipped with probability ½, and a random part of it resized to the whole (bilinear).

    images: uint8 [n, h, w, 3] on any device; returns float32 of the same shape and range. The part covers a uniform
    share of the area from `least` to 1, its aspect ratio is log-uniform in ¾ to 4⁄3 as far as it fits (Szegedy et al.
    2015). All that is random is drawn from `generator`, on the CPU, so that it does not depend on the device.
    """
    n = len(images)
    area, ratio, flip, y, x = torch.rand(5, n, generator=generator)
    area, ratio = least + (1 - least) * area, (4 / 3) ** (2 * ratio - 1)
    height, width = (area / ratio).sqrt().clamp(max=1), (area * ratio).sqrt().clamp(max=1)
    # Rows of the affine map from places in the result to places in the image, both in [-1, 1].
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = torch.where(flip < 0.5, -width, width), (2 * x - 1) * (1 - width)
    theta[:, 1, 1], theta[:, 1, 2] = height, (2 * y - 1) * (1 - height)
    pixels = images.permute(0, 3, 1, 2).float()
    grid = F.affine_grid(theta.to(images.device), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)


def _reflect(index: Tensor, size: int) -> Tensor:
    return (size - 1) - ((size - 1) - index.abs()).abs()
