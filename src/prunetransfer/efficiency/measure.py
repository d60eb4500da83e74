"""A pruned backbone as it is deployed, beside the dense one: what it takes, and how much time it saves."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from prunetransfer.efficiency.costs import Costs, costs_of
from prunetransfer.efficiency.latency import compared
from prunetransfer.models.backbones import Backbone
from prunetransfer.pruning.apply import mask_tensors
from prunetransfer.pruning.masks import Mask
from prunetransfer.runtime.devices import device_name
from prunetransfer.structure.shrink import shrunk
from prunetransfer.structure.units import Units


def deployed(backbone: Backbone, mask: Mask, units: Units | None) -> Backbone:
    """A copy of the backbone as it is used with a mask: where units are given, without those that the mask takes out.

    units: of the backbone, for a mask that takes whole units; None: the pruned weights are zeros in tensors of the same
    shapes. Raises ValueError for a mask of another backbone.
    """
    if units is not None:
        return shrunk(backbone, units, mask)
    pruned = copy.deepcopy(backbone)
    pruned.prune(mask_tensors(mask, backbone.device))
    return pruned


class Comparison:
    """A dense backbone, to be compared with pruned ones where it is, on images of noise, size × size pixels.

    seconds: that each batch size is measured for, at least.
    """

    def __init__(self, dense: Backbone, size: int, batch_sizes: Sequence[int], seconds: float) -> None:
        self.dense, self.batch_sizes, self.seconds = dense.eval(), batch_sizes, seconds
        generator = torch.Generator().manual_seed(0)
        images = dense.noise((max(1, *batch_sizes), size, size, 3), generator).to(dense.device)
        self.inputs = dense.inputs(images)
        self.dense_costs = self._costs(dense)

    def rows(self, pruned: Backbone) -> list[dict[str, Any]]:
        """A row a batch size: columns of `storage.schemas.efficiency.MEASURED`, those that name a mask apart.

        pruned: on the dense one's device. Both compute in float32, and zeros in tensors of full size are multiplied.
        """
        costs = self._costs(pruned)
        about = asdict(costs) | {f"dense_{name}": number for name, number in asdict(self.dense_costs).items()}
        about |= {"device": device_name(self.dense.device), "threads": torch.get_num_threads()}
        networks = self.dense.network, pruned.eval().network
        return [
            {"batch_size": size} | about | compared(*networks, self.inputs[:size], self.seconds)
            for size in self.batch_sizes
        ]

    def _costs(self, backbone: Backbone) -> Costs:
        return costs_of(backbone, self.inputs[:1])
