"""What a recovery is given: one pruned backbone, and what it may be recovered with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prunetransfer.datasets.splits import Split, uniform_subset
from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone
from prunetransfer.training.saved_state import SavedState


@dataclass(frozen=True)
class Case:
    """A pruned backbone, which a recovery changes in place; its pruned weights are zero before and after.

    dense: the backbone before it was pruned. mask: name → bool tensor of the layer's shape, on the backbone's device;
    False where a weight is pruned. train: the source's train images; to a recovery without labels they come without,
    and head is None. saved: where a run that was killed is to go on from, for a recovery that is resumable. beside:
    images of other datasets, for a recovery without labels.
    """

    backbone: Backbone
    dense: Backbone
    mask: Mapping[str, Tensor]
    head: Head | None
    train: Split
    seed: int
    saved: SavedState | None = None
    beside: Sequence[Split] = ()

    def images(self, samples: int) -> Tensor:
        """At most `samples` of the train images, and as many of each dataset beside them, drawn uniformly with the
        seed: uint8 [n, size, size, 3]."""
        sets = [split.images for split in (self.train, *self.beside)]
        return torch.cat([images[uniform_subset(images, samples, self.seed)] for images in sets])
