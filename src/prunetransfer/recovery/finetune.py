"""Fine-tune the pruned backbone on one dataset, its head and its normalisation statistics frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from prunetransfer.datasets.splits import Split
from prunetransfer.heads import Head
from prunetransfer.heads.losses import LOSSES
from prunetransfer.models.backbones import Backbone
from prunetransfer.training import loop
from prunetransfer.training.augmentation import crop_and_flip
from prunetransfer.training.loop import Objective
from prunetransfer.training.recipe import Recipe
from prunetransfer.training.saved_state import SavedState


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
    """Minimise the mean loss over the train images by `sgd` or `adamw`; returns the training curve, one dict an epoch.

    backbone: already masked. mask: name → bool tensor on the backbone's device. Every parameter moves but the pruned
    weights, which stay exactly zero. schedule, milestones, warmup, clip_norm: as in training.recipe.Recipe. least_crop:
    where given, images are cropped and flipped at random (augmentation.crop_and_flip). precision: `float32`,
    `bfloat16` (autocast), or `auto`, bfloat16 on a GPU. saved: where it is given, a run that was killed goes on from
    its last state and ends in the weights that it would have had.

    Raises FloatingPointError, naming step and learning rate, when the loss or a weight is not finite. The paper's
    protocol: SGD, 90 epochs at 5e-5, momentum 0.9, weight decay 1e-4, batches of 64, milestones 30, 60 and 80.
    """
    recipe = Recipe(
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        momentum=momentum,
        schedule=schedule,
        milestones=milestones,
        warmup=warmup,
        clip_norm=clip_norm,
    )
    backbone.eval()
    objective = _MaskedLoss(backbone, mask, head, loss, label_smoothing, least_crop, precision, compile)
    return loop.train(objective, train, recipe, seed, saved, what="fine-tuning")


class _MaskedLoss(Objective):
    """The loss through a frozen head of a backbone whose pruned weights stay zero."""

    def __init__(
        self,
        backbone: Backbone,
        mask: Mapping[str, Tensor],
        head: Head,
        loss: str,
        label_smoothing: float,
        least_crop: float | None,
        precision: str,
        compile: bool,
    ):
        super().__init__()
        self.trained, self.head, self.loss, self.label_smoothing = backbone, head, LOSSES[loss], label_smoothing
        self.least_crop, self.precision = least_crop, precision
        self.features = torch.compile(backbone) if compile else backbone.__call__
        self.weights = list(backbone.prunable().values())
        self.keep = [mask[name].to(weight.dtype) for name, weight in backbone.prunable().items()]

    def forward(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        if self.least_crop is not None:
            images = crop_and_flip(images, self.least_crop, generator)
        outputs = self.head(self.embed(self.features, images))
        return self.loss(outputs, labels, self.label_smoothing).mean(), outputs

    def before_step(self) -> None:
        # Without a gradient a pruned weight has no momentum and no decay either: it stays zero.
        torch._foreach_mul_([weight.grad for weight in self.weights], self.keep)
