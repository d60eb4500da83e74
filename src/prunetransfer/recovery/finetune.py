"""Fine-tune the pruned backbone on one dataset, its head and its normalisation statistics frozen."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from prunetransfer.heads.losses import LOSSES
from prunetransfer.recovery.case import Case
from prunetransfer.settings.registry import recovery
from prunetransfer.settings.types import (
    BatchSize,
    ClipNorm,
    Count,
    Distinct,
    Epochs,
    LabelSmoothing,
    Loss,
    Natural,
    Optimizer,
    Positive,
    Precision,
    ShareOfSome,
    ShareOfTheRest,
    WeightDecay,
    left_out,
    says,
)
from prunetransfer.training import loop
from prunetransfer.training.augmentation import crop_and_flip
from prunetransfer.training.loop import Objective
from prunetransfer.training.recipe import Recipe


@recovery(labels=True, resumable=True)
def finetune(
    case: Case,
    *,
    loss: Loss = "squared",
    label_smoothing: LabelSmoothing = 0.0,
    epochs: Epochs = 3,
    batch_size: BatchSize = 64,
    least_crop: Annotated[
        ShareOfSome | None,
        Field(
            description="Where it is given, every image is flipped at random and a random part of it, of at least this "
            "share of its area, is resized to the whole."
        ),
        says(allowed="a number above 0 and at most 1, or null"),
    ] = None,
    optimizer: Annotated[Optimizer, Field(description="How weights follow their gradients.")] = "sgd",
    learning_rate: Annotated[Positive, Field(description="The largest learning rate.")] = 0.005,
    warmup: Annotated[Natural, Field(description="Epochs over which the learning rate rises to that.")] = 0,
    schedule: Annotated[
        Literal["milestones", "cosine"],
        Field(description="What it does then: fall tenfold at `milestones`, or follow a `cosine` to zero."),
    ] = "milestones",
    milestones: Annotated[
        Distinct[Count],
        Field(description="Epochs after which the learning rate falls tenfold."),
        left_out("as a cosine has none", schedule="cosine"),
    ] = (),
    momentum: Annotated[ShareOfTheRest, Field(description="Momentum of `sgd`; β₁ of `adamw`.")] = 0.9,
    weight_decay: WeightDecay = 1e-4,
    clip_norm: ClipNorm = None,
    precision: Precision = "auto",
    compile: Annotated[
        bool,
        Field(
            description="Whether the backbone is compiled first (torch.compile), which is worth it where training "
            "takes many minutes."
        ),
    ] = False,
) -> list[dict[str, Any]]:
    """Training on the source, pruned weights held at zero, head and normalisation statistics frozen.

    Minimises the mean loss over the train images; returns the training curve, one dict an epoch. Every parameter moves
    but the pruned weights, which stay exactly zero. With the case's `saved` state a run that was killed goes on and
    ends in the weights that it would have had.

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
    case.backbone.eval()
    objective = _MaskedLoss(case, loss, label_smoothing, least_crop, precision, compile)
    return loop.train(objective, case.train, recipe, case.seed, case.saved, what="fine-tuning")


class _MaskedLoss(Objective):
    """The loss through a frozen head of a backbone whose pruned weights stay zero."""

    def __init__(
        self,
        case: Case,
        loss: str,
        label_smoothing: float,
        least_crop: float | None,
        precision: str,
        compile: bool,
    ):
        super().__init__()
        backbone = case.backbone
        self.trained, self.head, self.loss, self.label_smoothing = backbone, case.head, LOSSES[loss], label_smoothing
        self.least_crop, self.precision = least_crop, precision
        self.features = torch.compile(backbone) if compile else backbone.__call__
        self.weights = list(backbone.prunable().values())
        self.keep = [case.mask[name].to(weight.dtype) for name, weight in backbone.prunable().items()]

    def forward(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        if self.least_crop is not None:
            images = crop_and_flip(images, self.least_crop, generator)
        outputs = self.head(self.embed(self.features, images))
        return self.loss(outputs, labels, self.label_smoothing).mean(), outputs

    def before_step(self) -> None:
        # Without a gradient a pruned weight has no momentum and no decay either: it stays zero.
        torch._foreach_mul_([weight.grad for weight in self.weights], self.keep)
