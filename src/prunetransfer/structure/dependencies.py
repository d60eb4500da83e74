"""Finds the units of a backbone: Torch-Pruning proposes them, and each is tried.

Torch-Pruning follows the graph of a forward pass and takes every operation that it does not know for one that acts on
each channel alone. So half of each family's units are masked, and removed, and the family is left out unless both
networks compute the same.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from prunetransfer.layers.rules import ProductUse, require_rules
from prunetransfer.layers.watch import Watch
from prunetransfer.models.backbones import Backbone
from prunetransfer.structure.graph import IMAGES, noise
from prunetransfer.structure.proposals import proposals
from prunetransfer.structure.shrink import shrunk
from prunetransfer.structure.units import Family, Units, mask_without

# How far the features of the masked and the smaller network may be apart in double precision, relative to the norm:
# a normalisation over the channels of one layer can move them by less than 1e-3.
TOLERANCE = 1e-9
UNPROVEN = "without them the network computes something else than with zeros in their place"


def find_units(backbone: Backbone, image: Sequence[int]) -> Units:
    """The units of a backbone that can be removed without a trace, families in the order of the backbone's weights.

    image: the shape of an image as the network is given it, [3, h, w]. Raises ValueError for an architecture that
    Torch-Pruning cannot follow, and for a prunable weight whose multiplications cannot be counted.
    """
    return units_and_rest(backbone, image)[0]


def units_and_rest(backbone: Backbone, image: Sequence[int]) -> tuple[Units, dict[str, str]]:
    """The units as of `find_units`, and by weight why other rows stay."""
    trial = copy.deepcopy(backbone).cpu().double()
    _perturb(trial.network)
    shapes = {name: tuple(weight.shape) for name, weight in trial.prunable().items()}
    # Some networks keep what a forward pass computed, which belongs to its graph and cannot be copied.
    uses = _uses(copy.deepcopy(trial), image)

    def of(families: Sequence[Family]) -> Units:
        return Units(families, shapes, uses, tuple(image))

    families, rest = proposals(copy.deepcopy(trial), image)
    if not _alike(trial, of(families)):
        alone = [_alike(trial, of([family])) for family in families]
        rest |= {family.name: UNPROVEN for family, alike in zip(families, alone, strict=True) if not alike}
        families = [family for family, alike in zip(families, alone, strict=True) if alike]
        if not _alike(trial, of(families)):
            raise ValueError("families whose units can go do not go together in this architecture")
    return of(families), rest


@torch.no_grad()
def _perturb(network: nn.Module) -> None:
    """Change every tensor a little, so that no branch is silent, as one is whose scale still is its initial zero."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            spread = tensor.std(correction=0)
            change = 0.1 * torch.randn(tensor.shape, generator=generator).to(tensor)
            change *= spread if spread > 0 else 1
            tensor.add_(change.abs() if name.endswith("running_var") else change)
    network.requires_grad_()


@torch.no_grad()
def _uses(backbone: Backbone, image: Sequence[int]) -> dict[str, int]:
    """Prunable weight → multiply-adds of one image for each of its numbers: the positions that it is applied at."""
    weights = backbone.prunable()
    uses: dict[str, int] = defaultdict(int)

    def count(name: str, use: ProductUse | None, function: Callable[[], Any]) -> Any:
        output = function()
        if use is not None:
            uses[name] += output.numel() // (IMAGES * len(use.weight))
        return output

    with Watch(weights, count):
        backbone.network(noise(backbone, image))
    require_rules(uses.keys(), weights.keys())
    return {name: uses[name] for name in weights}


@torch.no_grad()
def _alike(backbone: Backbone, units: Units) -> bool:
    """Whether the network without half of each family's units computes what it does with zeros in their place."""
    draws = np.random.default_rng(0)
    gone = [draws.permutation(len(family)) < len(family) // 2 for family in units.families]
    mask = mask_without(units, gone)
    masked, images = copy.deepcopy(backbone), noise(backbone, units.image)
    masked.prune({name: torch.from_numpy(keep) for name, keep in mask.items()})
    expected = masked.network(images)
    try:
        small = shrunk(backbone, units, mask)
        found = small.network(images)
    except Exception:  # whatever a network does whose layers no longer fit together
        return False
    left = sum(weight.numel() for weight in small.prunable().values())
    fits = found.shape == expected.shape and left == sum(map(np.count_nonzero, mask.values()))
    return fits and bool((found - expected).norm() <= TOLERANCE * expected.norm())
