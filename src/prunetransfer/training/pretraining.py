"""One pre-training, whatever its objective: what is held out, the loop, what is kept."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from prunetransfer.datasets import samples
from prunetransfer.datasets.splits import Split
from prunetransfer.models.backbones import Backbone, extract_features
from prunetransfer.settings.registry import find
from prunetransfer.settings.types import (
    BatchSize,
    ClipNorm,
    Epochs,
    Natural,
    Optimizer,
    Positive,
    Precision,
    WeightDecay,
    says,
)
from prunetransfer.training.loop import Objective, train
from prunetransfer.training.monitor import Monitor
from prunetransfer.training.recipe import Recipe
from prunetransfer.training.saved_state import SavedState


class Pretraining(Objective):
    """An objective that trains a backbone from scratch; `kept` is the backbone that comes of it.

    Where `first_size` is given, the images of the first `first_epochs` epochs are shown at that side in pixels. `watch`
    looks at the kept backbone after each epoch.
    """

    kept: Backbone
    first_size: int | None = None
    first_epochs: int = 0
    watch: Monitor | None = None

    def start_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.train()

    def end_epoch(self) -> dict[str, Any]:
        return self.watch(self.kept) if self.watch else {}

    def shown_size(self, size: int) -> int:
        """The side at which images of `size` pixels are shown in this epoch."""
        return self.first_size if self.first_size and self.epoch <= self.first_epochs else size

    def classifier(self) -> nn.Linear | None:
        """The layer that was trained to read the images' own labels from the features."""
        return None


def pretrain(
    backbone: Backbone,
    split: Split,
    seed: int,
    saved: SavedState | None = None,
    *,
    objective: Annotated[
        str,
        Field(
            description="What is minimised, a class of `prunetransfer.training.objectives`. All but `supervised` need "
            "`pip install 'prunetransfer[pretraining]'`."
        ),
    ] = "supervised",
    epochs: Epochs,
    first_size: Annotated[
        Annotated[int, Field(ge=8)] | None,
        Field(
            description="Side in pixels of the images that the first epochs see, where those are to be smaller and "
            "faster."
        ),
        says(allowed="a whole number at least 8, or null"),
    ] = None,
    first_epochs: Annotated[Natural, Field(description="How many epochs see images of `first_size`.")] = 0,
    optimizer: Annotated[Optimizer, Field(description="`sgd` has Nesterov momentum 0.9.")],
    learning_rate: Annotated[
        Positive,
        Field(description="The largest one; it warms up over a tenth of the steps, then follows a cosine to zero."),
    ],
    weight_decay: WeightDecay,
    clip_norm: ClipNorm = 1.0,
    batch_size: BatchSize = 128,
    held_out: Annotated[
        float,
        Field(
            gt=0,
            le=0.5,
            description="Share of the train images of each class that is not trained on: after each epoch k-NN and "
            "ridge accuracy are measured on them (table `pretraining`).",
        ),
    ] = 0.02,
    precision: Precision = "auto",
    **settings: Any,
) -> tuple[Pretraining, list[dict[str, Any]]]:
    """Train `backbone`, which ends in its features, from scratch; returns the objective as it ended, and the curve.

    split: images uint8 [n, size, size, 3] with their labels. settings: those of the objective. held_out may also be 0,
    as nothing is measured then. saved: as of training.loop.train.

    Raises FloatingPointError when a loss or a weight is not finite or all features are alike; ValueError where a
    package that the objective needs is not installed.
    """
    try:
        build = find("pretrain", objective).function
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "lightly":
            raise
        raise ValueError(f"{objective} needs the package lightly: pip install 'prunetransfer[pretraining]'") from None
    width = extract_features(backbone, split.images[:1]).shape[1]
    pretraining = build(backbone, width, len(split.classes), **settings).to(backbone.device)
    pretraining.first_size, pretraining.first_epochs, pretraining.precision = first_size, first_epochs, precision
    if held_out:
        split, pretraining.watch = hold_out(split, held_out, seed)
    recipe = Recipe(
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        nesterov=optimizer == "sgd",
        warmup=epochs / 10,
        clip_norm=clip_norm,
    )
    curve = train(pretraining, split, recipe, seed, saved, what="pre-training")
    pretraining.eval()
    return pretraining, curve


def hold_out(split: Split, share: float, seed: int) -> tuple[Split, Monitor]:
    """The images to train on, and a monitor on the others: a `share` of each class."""
    chosen = torch.from_numpy(samples.held_out(split.labels.numpy(), share, seed))
    shown, apart = (Split(split.images[where], split.labels[where], split.classes) for where in (~chosen, chosen))
    return shown, Monitor(shown, apart, seed)
