"""DINO (Caron et al. 2021, arXiv 2104.14294): agree with a slow teacher that sees another view, without negatives."""

from __future__ import annotations

import copy
from typing import Annotated

import torch
from lightly.loss import DINOLoss
from lightly.models.modules.heads import DINOProjectionHead
from lightly.models.utils import update_momentum
from lightly.utils.scheduler import cosine_schedule
from pydantic import Field
from torch import Tensor, nn

from prunetransfer.models.backbones import Backbone
from prunetransfer.settings.registry import objective
from prunetransfer.settings.types import Count, LeastView, Natural, Share
from prunetransfer.training.augmentation import random_view
from prunetransfer.training.pretraining import Pretraining

HIDDEN, BOTTLENECK = 512, 128
COLD, WARM = 0.04, 0.07  # the teacher's temperature at first and after the warm-up
STEPS_OF_MOMENTUM = 1000


@objective("dino", labels=False)
class Dino(Pretraining):
    """A student agrees with a slow teacher that sees another view; the teacher is kept (Caron et al. 2021,
    arXiv 2104.14294)."""

    classifies = False

    def __init__(
        self,
        backbone: Backbone,
        width: int,
        classes: int,
        *,
        least_crop: LeastView = 0.3,
        outputs: Annotated[
            Count, Field(description="Dimensions of the heads that student and teacher are compared in.")
        ] = 2048,
        momentum: Annotated[
            Share,
            Field(description="Momentum of the teacher's weights at first; it rises to 1 on a cosine."),
        ] = 0.99,
        warmup: Annotated[
            Count, Field(description="Epochs over which the teacher's temperature rises from 0.04 to 0.07.")
        ] = 5,
        local_views: Annotated[
            Natural,
            Field(
                description="Small views of an image that the student alone sees, each of at most `least_crop` of its "
                "area."
            ),
        ] = 0,
        local_size: Annotated[int, Field(ge=8, description="Side in pixels of the small views.")] = 32,
    ):
        super().__init__()
        self.least_crop, self.momentum = least_crop, momentum
        self.local_views, self.local_size = local_views, local_size
        # The head's weight normalisation cannot be copied, so a second one is loaded with the first one's weights.
        heads = [DINOProjectionHead(width, HIDDEN, BOTTLENECK, outputs, freeze_last_layer=1) for _ in range(2)]
        heads[1].load_state_dict(heads[0].state_dict())
        self.trained = nn.Sequential(backbone, heads[0])
        self.teacher = nn.Sequential(copy.deepcopy(backbone), heads[1]).requires_grad_(False)
        self.kept = self.teacher[0]
        self.agreement = DINOLoss(outputs, COLD, WARM, warmup)

    def forward(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, None]:
        size = self.shown_size(images.shape[1])
        views = [random_view(images, self.least_crop, 1.0, size, generator) for _ in range(2)]
        with torch.no_grad():
            taught = [self.embed(self.teacher, view) for view in views]
        for _ in range(self.local_views):
            views.append(random_view(images, 0.05, self.least_crop, min(self.local_size, size), generator))
        return self.agreement(taught, [self.embed(self.trained, view) for view in views], epoch=self.epoch - 1), None

    def before_step(self) -> None:
        self.trained[1].cancel_last_layer_gradients(self.epoch - 1)

    def after_step(self, progress: float) -> None:
        steps = STEPS_OF_MOMENTUM
        update_momentum(self.trained, self.teacher, cosine_schedule(round(progress * steps), steps, self.momentum, 1.0))
