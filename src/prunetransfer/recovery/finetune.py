"""Fine-tune the pruned backbone on one dataset, its head and its normalisation statistics frozen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prunetransfer.backbones import Backbone
from prunetransfer.datasets.splits import Split
from prunetransfer.devices import spare_memory
from prunetransfer.heads import Head
from prunetransfer.losses import LOSSES
from prunetransfer.saved_state import SavedState
from prunetransfer.training import crop_and_flip, make_optimizer, warmup_then_cosine, warmup_then_milestones

# Steps between looks at the loss: each look makes a GPU wait.
CHECK_EVERY = 50
COUNTERS = ("epoch", "step", "seconds", "order", "losses", "correct", "curve")


def recover(
    backbone: Backbone,
    dense: Backbone,
    mask: Mapping[str, Tensor],
    head: Head,
    train: Split,
    seed: int,
    saved: SavedState | None = None,
    *,
    loss: str,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    optimizer: str = "sgd",
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    schedule: str = "milestones",
    milestones: Sequence[int] = (),
    warmup: int = 0,
    label_smoothing: float = 0.0,
    clip_norm: float | None = None,
    least_crop: float | None = None,
    precision: str = "auto",
    compile: bool = False,
) -> list[dict[str, Any]]:
    """Minimise the mean loss over `train` by `sgd` or `adamw`; returns the training curve, one dict an epoch.

    backbone: already masked. mask: name → bool tensor on the backbone's device. Every parameter moves but the pruned
    weights, which stay exactly zero. schedule: `milestones`, epochs after each of which the learning rate falls
    tenfold, or `cosine`, to zero; both after a linear rise over `warmup` epochs. clip_norm: the largest norm of all
    gradients together. least_crop: where given, images are cropped and flipped at random (training.crop_and_flip).
    precision: `float32`, `bfloat16` (autocast), or `auto`, bfloat16 on a GPU. saved: where it is given, a run that was
    killed goes on from its last state and ends in the weights that it would have had.

    Raises FloatingPointError, naming step and learning rate, when the loss or a weight is not finite. The paper's
    protocol: SGD, 90 epochs at 5e-5, momentum 0.9, weight decay 1e-4, batches of 64, milestones 30, 60 and 80.
    """
    backbone.eval()
    steps = math.ceil(len(train.labels) / batch_size)
    images, labels = train.images, train.labels.to(backbone.device)
    if images.nbytes < spare_memory(backbone.device):
        images = images.to(backbone.device)
    updates = make_optimizer(backbone, optimizer, learning_rate, momentum, weight_decay)
    run = _Run(backbone, updates, torch.Generator().manual_seed(seed), steps)
    forward = torch.compile(backbone) if compile else backbone
    # Gradients live in one place, so that what is done to all of them needs no loop over layers.
    gradients = [torch.zeros_like(parameter) for parameter in backbone.parameters()]
    for parameter, gradient in zip(backbone.parameters(), gradients, strict=True):
        parameter.grad = gradient
    prunable = backbone.prunable()
    pruned = [weight.grad for weight in prunable.values()]
    keep = [mask[name].to(weight.dtype) for name, weight in prunable.items()]

    def rate(step: int) -> float:
        if schedule == "cosine":
            return learning_rate * warmup_then_cosine(step, epochs * steps, warmup * steps)
        return learning_rate * warmup_then_milestones(step, warmup * steps, [steps * epoch for epoch in milestones])

    def take_step(batch: Tensor) -> None:
        x, y = images[batch.to(images.device)].to(backbone.device), labels[batch.to(backbone.device)]
        if least_crop is not None:
            x = crop_and_flip(x, least_crop, run.generator)
        with _autocast(backbone.device, precision):
            features = forward(x)
        outputs = head(features.to(head.weight.dtype))
        batch_loss = LOSSES[loss](outputs, y, label_smoothing).mean()
        torch._foreach_zero_(gradients)
        batch_loss.backward()
        # Without a gradient a pruned weight has no momentum and no decay either: it stays zero.
        torch._foreach_mul_(pruned, keep)
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(backbone.parameters(), clip_norm)
        for group in updates.param_groups:
            group["lr"] = rate((run.epoch - 1) * steps + run.step)
        updates.step()
        run.losses[run.step] = batch_loss.detach() * len(y)
        run.correct += (outputs.argmax(1) == y).sum()
        run.step += 1

    if saved and (state := saved.load()):
        run.load_state_dict(state)
        print(f"resumed after step {run.step} of epoch {run.epoch}", flush=True)
    while run.epoch <= epochs:
        if run.step == 0:
            run.order = torch.randperm(len(train.labels), generator=run.generator)
        start = time.perf_counter() - run.seconds
        for batch in run.order.split(batch_size)[run.step :]:
            take_step(batch)
            run.seconds = time.perf_counter() - start
            if run.step % CHECK_EVERY == 0 or run.step == steps:
                run.check_finite(rate)
            if saved and saved.due():
                saved.save(run.state_dict())
        row = run.close_epoch(learning_rate=updates.param_groups[0]["lr"])
        print(
            f"epoch {row['epoch']}/{epochs}  loss {row['loss']:.5f}  train top-1 {row['train_top1']:.4f}"
            f"  learning rate {row['learning_rate']:.3g}  {row['seconds']:.1f} s",
            flush=True,
        )
    for parameter in backbone.parameters():
        parameter.grad = None
    return run.curve


class _Run:
    """What changes while a backbone is tuned."""

    def __init__(self, backbone: Backbone, updates: torch.optim.Optimizer, generator: torch.Generator, steps: int):
        self.backbone, self.updates, self.generator = backbone, updates, generator
        self.epoch, self.step, self.seconds = 1, 0, 0.0  # step: how many of this epoch are done
        self.order = torch.zeros(0, dtype=torch.int64)
        self.losses = torch.zeros(steps, device=backbone.device)  # summed over the images of each step
        self.correct = torch.zeros((), dtype=torch.int64, device=backbone.device)
        self.curve: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.backbone.network.state_dict(),
            "updates": self.updates.state_dict(),
            "generator": self.generator.get_state(),
            **{name: getattr(self, name) for name in COUNTERS},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.backbone.network.load_state_dict(state["network"])
        self.updates.load_state_dict(state["updates"])
        self.generator.set_state(state["generator"])
        for name in COUNTERS:
            value = state[name]
            setattr(self, name, value.to(getattr(self, name).device) if isinstance(value, Tensor) else value)

    def check_finite(self, rate: Callable[[int], float]) -> None:
        """Raise FloatingPointError, naming step and learning rate, if a loss of this epoch or a weight is not."""
        bad = (~self.losses[: self.step].isfinite()).nonzero()
        if len(bad):
            step = int(bad[0]) + 1
        elif not torch.stack(torch._foreach_norm(list(self.backbone.parameters()))).sum().isfinite():
            step = self.step
        else:
            return
        at = rate((self.epoch - 1) * len(self.losses) + step - 1)
        raise FloatingPointError(f"fine-tuning diverged in step {step} of epoch {self.epoch} at learning rate {at:.3g}")

    def close_epoch(self, learning_rate: float) -> dict[str, Any]:
        """Add a row to the curve, which is returned, and begin the next epoch."""
        images = len(self.order)
        self.curve.append(
            {
                "epoch": self.epoch,
                "step": self.epoch * len(self.losses),
                "loss": self.losses.sum(dtype=torch.float64).item() / images,
                "train_top1": self.correct.item() / images,
                "learning_rate": learning_rate,
                "seconds": self.seconds,
            }
        )
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.correct.zero_()
        return self.curve[-1]


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    half = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=half)
