"""Re-estimate the running statistics of batch normalisation on the source's images."""

from __future__ import annotations

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from prunetransfer.models.backbones import Backbone
from prunetransfer.recovery.case import Case
from prunetransfer.settings.registry import recovery
from prunetransfer.settings.types import Unlabelled


@recovery(labels=False)
@torch.no_grad()
def batchnorm(case: Case, *, samples: Unlabelled = 256) -> None:
    """Running statistics of batch normalisation are estimated anew on source images; for backbones that have any.

    Mean and variance of what each batchnorm reads become those over `samples` images of the case.
    All images pass at once, so each norm already reads what those before it write with their new statistics. Raises
    ValueError for a backbone without batchnorm.
    """
    backbone = case.backbone
    norms = batchnorms(backbone)
    if not norms:
        raise ValueError("recovery batchnorm: this backbone has no batch normalisation; name others in its `backbones`")
    momenta = [norm.momentum for norm in norms]
    backbone.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0  # the statistics of this pass replace the old ones
    backbone(case.images(samples).to(backbone.device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    backbone.eval()


def batchnorms(backbone: Backbone) -> list[_BatchNorm]:
    """Every batchnorm that has running statistics."""
    return [m for m in backbone.network.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
