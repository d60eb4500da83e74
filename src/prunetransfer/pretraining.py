"""Train a small backbone from scratch on prepared images: where the shipped weights come from."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from prunetransfer.backbones import Backbone, extract_features
from prunetransfer.datasets.splits import Split
from prunetransfer.training import make_optimizer, shift_and_flip, warmup_then_cosine


def pretrain(
    backbone: Backbone,
    train: Split,
    *,
    epochs: int,
    optimizer: str,
    learning_rate: float,
    weight_decay: float,
    batch_size: int,
    label_smoothing: float,
    shift: int,
) -> None:
    """Train `backbone`, which ends in its classifier, in place on its own device; draws from torch's global generator.

    optimizer: `sgd` (Nesterov momentum 0.9) or `adamw`. The learning rate warms up over a tenth of the steps, then
    follows a cosine to zero. shift: the largest random translation in pixels, drawn together with a horizontal flip.
    Raises FloatingPointError, naming epoch and learning rate, when the loss is not finite.
    """
    images, labels = train.images, train.labels
    steps = epochs * math.ceil(len(labels) / batch_size)
    warmup = max(1, steps // 10)
    updates = make_optimizer(backbone, optimizer, learning_rate, 0.9, weight_decay, nesterov=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(updates, lambda step: warmup_then_cosine(step, steps, warmup))
    backbone.train()
    for epoch in range(1, epochs + 1):
        start, total, correct = time.perf_counter(), 0.0, 0
        for batch in torch.randperm(len(labels)).split(batch_size):
            x, y = shift_and_flip(images[batch].to(backbone.device), shift), labels[batch].to(backbone.device)
            logits = backbone(x)
            loss = F.cross_entropy(logits, y, label_smoothing=label_smoothing)
            updates.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(backbone.parameters(), 1.0)
            updates.step()
            schedule.step()
            total += loss.item() * len(y)
            correct += (logits.argmax(1) == y).sum().item()
            if not math.isfinite(total):
                rate = schedule.get_last_lr()[0]
                raise FloatingPointError(f"pretraining diverged in epoch {epoch} at learning rate {rate:.3g}")
        seconds = time.perf_counter() - start
        print(
            f"epoch {epoch}/{epochs}  loss {total / len(labels):.4f}  train top-1 {correct / len(labels):.4f}"
            f"  {len(labels) / seconds:.0f} images/s",
            flush=True,
        )
    backbone.eval()


def accuracy(backbone: Backbone, test: Split) -> float:
    """Top-1 of a backbone that ends in its classifier."""
    return (extract_features(backbone, test.images).argmax(1).cpu() == test.labels).float().mean().item()


def half_precision_state(backbone: Backbone) -> dict[str, np.ndarray]:
    """The network's tensors, rounded in place to half precision, so that what is measured is what is stored."""
    backbone.network.load_state_dict(
        {name: t.half().float() if t.is_floating_point() else t for name, t in backbone.network.state_dict().items()}
    )
    state = backbone.network.state_dict()
    return {name: (t.half() if t.is_floating_point() else t).cpu().numpy() for name, t in state.items()}
