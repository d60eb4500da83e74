"""Cross-entropy on the images' own labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prunetransfer.heads.losses import cross_entropy
from prunetransfer.models.backbones import Backbone
from prunetransfer.training.augmentation import resize, shift_and_flip
from prunetransfer.training.pretraining import Pretraining


class Supervised(Pretraining):
    """A backbone and its classifier."""

    def __init__(self, backbone: Backbone, width: int, classes: int, *, label_smoothing: float, shift: int):
        """label_smoothing: share of each target that is spread over all classes. shift: the largest one, in pixels."""
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


build = Supervised
