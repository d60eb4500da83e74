"""Re-estimate the running statistics of batch normalisation on the source's images."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from prunetransfer.datasets.splits import Split, uniform_subset
from prunetransfer.models.backbones import Backbone


@torch.no_grad()
def recover(
    backbone: Backbone,
    dense: Backbone,
    mask: Mapping[str, Tensor],
    head: None,
    train: Split,
    seed: int,
    *,
    samples: int,
) -> None:
    """Mean and variance of what each batchnorm reads become those over `samples` images of `train`, drawn with `seed`.

    All images pass at once, so each norm already reads what those before it write with their new statistics. Raises
    ValueError for a backbone without batchnorm.
    """
    norms = batchnorms(backbone)
    if not norms:
        raise ValueError("recovery batchnorm: this backbone has no batch normalisation; name others in its `backbones`")
    images = train.images[uniform_subset(train.images, samples, seed)]
    momenta = [norm.momentum for norm in norms]
    backbone.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0  # the statistics of this pass replace the old ones
    backbone(images.to(backbone.device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    backbone.eval()


def batchnorms(backbone: Backbone) -> list[_BatchNorm]:
    """Every batchnorm that has running statistics."""
    return [m for m in backbone.network.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
