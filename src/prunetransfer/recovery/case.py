"""What a recovery is given: one pruned backbone, and what it may be recovered with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    and head is None. saved: where a run that was killed is to go on from, for a recovery that is resumable.
    """

    backbone: Backbone
    dense: Backbone
    mask: Mapping[str, Tensor]
    head: Head | None
    train: Split
    seed: int
    saved: SavedState | None = None

    def images(self, samples: int) -> Tensor:
        """At most `samples` of the train images, drawn uniformly with the seed: uint8 [n, size, size, 3]."""
        return self.train.images[uniform_subset(self.train.images, samples, self.seed)]
