"""A backbone that reads inputs as its network takes them, of whatever shape, and not prepared images."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from prunetransfer.models.backbones import Backbone


class GivenBackbone(Backbone):
    """Inputs [n, …] in, as the network takes them (normalised, of any number of channels), features [n, d] out."""

    def __init__(self, network: nn.Module, exclude: Sequence[str] = (), matrices: Collection[str] | None = None):
        super().__init__(network, [0.0], [1.0], exclude, matrices)

    def inputs(self, images: Tensor) -> Tensor:
        images = images.to(self.mean.dtype)
        return images.contiguous() if self.contiguous else images

    def noise(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        return torch.randn(shape, generator=generator)
