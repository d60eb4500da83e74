"""MoCo v2 (Chen et al. 2020, arXiv 2003.04297): tell another view of an image from a queue of other images."""

from __future__ import annotations

import copy
from typing import Annotated, Any

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import MoCoProjectionHead
from lightly.models.utils import update_momentum
from pydantic import Field
from torch import Tensor, nn

from prunetransfer.models.backbones import Backbone
from prunetransfer.settings.registry import objective
from prunetransfer.settings.types import Count, LeastView, Positive, Share
from prunetransfer.training.augmentation import random_view
from prunetransfer.training.pretraining import Pretraining

DIMENSION = 128
# Parts of a batch whose keys are normalised apart. Queries and keys that shared batch statistics would give each other
# away (He et al. 2020, "shuffling BN", which does the same with several GPUs).
PARTS = 4


@objective("moco-v2", labels=False)
class MoCoV2(Pretraining):
    """Another view of the same image is told from a queue of other images (Chen et al. 2020, arXiv 2003.04297)."""

    classifies = False

    def __init__(
        self,
        backbone: Backbone,
        width: int,
        classes: int,
        *,
        least_crop: LeastView = 0.2,
        queue: Annotated[Count, Field(description="Keys of earlier images that an image is told from.")] = 4096,
        temperature: Annotated[Positive, Field(description="Similarities are divided by it.")] = 0.1,
        momentum: Annotated[
            Share, Field(description="Momentum of the weights of the slow encoder, which makes the keys.")
        ] = 0.99,
    ):
        super().__init__()
        self.kept, self.least_crop, self.momentum = backbone, least_crop, momentum
        self.trained = nn.Sequential(backbone, MoCoProjectionHead(width, width, DIMENSION))
        self.slow = copy.deepcopy(self.trained).requires_grad_(False)
        self.contrast = NTXentLoss(temperature, (queue, DIMENSION))

    def forward(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, None]:
        size = self.shown_size(images.shape[1])
        query, key = (random_view(images, self.least_crop, 1.0, size, generator) for _ in range(2))
        order = torch.randperm(len(images), generator=generator).to(images.device)
        with torch.no_grad():
            keys = torch.cat([self.embed(self.slow, part) for part in key[order].chunk(PARTS)])[order.argsort()]
        return self.contrast(self.embed(self.trained, query), keys), None

    def after_step(self, progress: float) -> None:
        update_momentum(self.trained, self.slow, self.momentum)

    def get_extra_state(self) -> dict[str, Any]:
        bank = self.contrast.memory_bank
        return {"queue": bank.bank, "place": bank.bank_ptr}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        bank = self.contrast.memory_bank
        bank.bank.copy_(state["queue"])
        bank.bank_ptr.copy_(state["place"])
