"""A task's mean loss on a fixed sample of its train images, as a function of the prunable weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from prunetransfer.datasets.splits import Split
from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone

# Each holds what the layers wrote, and its derivatives.
IMAGES_AT_ONCE = 32


@dataclass(frozen=True)
class Task:
    """L(W) = 1/m Σ_i ℓ(f(x_i; W), y_i) over the m images of `sample`; ℓ: the loss that the frozen head minimises.

    The backbone is in evaluation mode. All but its prunable weights W stays as it is.
    """

    backbone: Backbone
    head: Head
    sample: Split

    @property
    def images(self) -> int:
        return len(self.sample.labels)

    def weights(self) -> dict[str, Tensor]:
        """W: name → tensor, without gradients."""
        return {name: weight.detach() for name, weight in self.backbone.prunable().items()}

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The sample in order, on the backbone's device: images uint8 [n, h, w, 3], labels int64 [n]."""
        device = self.backbone.device
        for part in torch.arange(self.images).split(IMAGES_AT_ONCE):
            yield self.sample.images[part].to(device), self.sample.labels[part].to(device)

    @torch.no_grad()
    def loss(self) -> float:
        """L at the weights that the backbone has now."""
        total = 0.0
        for images, labels in self.batches():
            total += self.head.loss(self.head(self.backbone(images)), labels).double().sum().item()
        return total / self.images
