"""Cross-entropy on the images' own labels."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from prunetransfer.heads.losses import cross_entropy
from prunetransfer.models.backbones import Backbone
from prunetransfer.settings.registry import objective
from prunetransfer.settings.types import LabelSmoothing, Natural
from prunetransfer.training.augmentation import resize, shift_and_flip
from prunetransfer.training.pretraining import Pretraining


@objective("supervised", labels=True)
class Supervised(Pretraining):
    """Cross-entropy on the images' own labels."""

    def __init__(
        self,
        backbone: Backbone,
        width: int,
        classes: int,
        *,
        label_smoothing: LabelSmoothing = 0.1,
        shift: Annotated[
            Natural,
            Field(description="The largest random translation in pixels, drawn with a horizontal flip."),
        ] = 8,
    ):
        super().__init__()
        self.kept, self.trained = backbone, nn.Sequential(backbone, nn.Linear(width, classes))
        self.label_smoothing, self.shift = label_smoothing, shift

    def forward(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        size = self.shown_size(images.shape[1])
        images = shift_and_flip(images, self.shift, generator)
        images = images if size == images.shape[1] else resize(images, size)
        outputs = self.embed(self.trained, images)
        return cross_entropy(outputs, labels, self.label_smoothing).mean(), outputs

    def classifier(self) -> nn.Linear:
        return self.trained[1]
