"""Finds the units of a backbone: what depends on what is Torch-Pruning's to say, and each family is tried.

Torch-Pruning follows the graph of a forward pass and takes every operation that it does not know for one that acts on
each channel alone. So what it says is a proposal: half of each family's units are masked, and removed, and a family is
left out unless both networks compute the same.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import nn
from torch_pruning import DependencyGraph
from torch_pruning.dependency import Group
from torch_pruning.ops import OPTYPE

from prunetransfer.layers.rules import ProductUse, require_rules
from prunetransfer.layers.watch import Watch
from prunetransfer.models.backbones import Backbone
from prunetransfer.models.plain import PRUNABLE_LAYERS
from prunetransfer.structure.graph import IMAGES, attentions, dependency_graph, group_of, noise
from prunetransfer.structure.shrink import shrunk
from prunetransfer.structure.units import Family, Units, mask_without

# How far the features of the masked and the smaller network may be apart, relative to the norm.
TOLERANCE = 1e-3
# Why the rows of a weight stay whole.
FEATURES = "the features consist of them"
NORMALISED = "{} normalises over them: zeroed is not removed"
OTHER_LAYER = "{} is no convolution or linear layer"
NOT_PRUNABLE = "{} is not prunable"
SHARED = "{} is shared by several layers"
TOGETHER = "they could only go all together"
UNPROVEN = "without them the network computes something else than with zeros in their place"


def find_units(backbone: Backbone, image: Sequence[int]) -> Units:
    """The units of a backbone that can be removed without a trace, families in the order of the backbone's weights.

    image: the shape of an image as the network is given it, [3, h, w]. What stays whole is printed with the reason
    (`units_and_rest`). Raises ValueError for a prunable weight of whose multiplications there is no count.
    """
    units, rest = units_and_rest(backbone, image)
    for name, reason in rest.items():
        print(f"the rows of {name} stay: {reason}")
    return units


def units_and_rest(backbone: Backbone, image: Sequence[int]) -> tuple[Units, dict[str, str]]:
    """The units as of `find_units`, and why other rows stay: by the first weight in order that has some of them."""
    trial = copy.deepcopy(backbone)
    _perturb(trial.network)
    families, rest = _proposals(trial, image)
    shapes = {name: tuple(weight.shape) for name, weight in trial.prunable().items()}
    uses = _uses(trial, image)

    def proven(families: Sequence[Family]) -> bool:
        return _alike(trial, Units(families, shapes, uses, image))

    if not proven(families):
        alone = [proven([family]) for family in families]
        rest |= {family.name: UNPROVEN for family, alike in zip(families, alone, strict=True) if not alike}
        families = [family for family, alike in zip(families, alone, strict=True) if alike]
        if not proven(families):
            raise ValueError("units that can go one family at a time do not go together in this architecture")
    return Units(families, shapes, uses, tuple(image)), rest


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


def _proposals(backbone: Backbone, image: Sequence[int]) -> tuple[list[Family], dict[str, str]]:
    """The families of Torch-Pruning's graph that nothing it sees speaks against, and what speaks against the others."""
    graph = dependency_graph(backbone, image)
    groups = _Groups(graph, backbone)
    families: list[Family] = []
    rest: dict[str, str] = {}
    seen: set[str] = set()
    for name in backbone.prunable():
        if name in seen:
            continue
        layer = groups.layers.get(name)
        if layer is None or layer not in graph.module2node:
            rest[name] = OTHER_LAYER.format(name)
            continue
        group = groups.whole(layer)
        seen |= {weight for weight, axis, _, _ in groups.members(group) if axis == 0}
        reason = groups.obstacle(group)
        if reason is None:
            found = groups.families(name, group)
            families += found
            reason = None if found else TOGETHER
        if reason:
            rest[name] = reason
    return families, rest


class _Groups:
    """Torch-Pruning's groups in terms of rows and columns of prunable weights."""

    def __init__(self, graph: DependencyGraph, backbone: Backbone):
        network = backbone.network
        self.graph = graph
        self.prunable = {weight: name for name, weight in backbone.prunable().items()}
        self.names = {parameter: name for name, parameter in network.named_parameters()}
        self.layers = {
            self.prunable[layer.weight]: layer
            for layer in network.modules()
            if isinstance(layer, PRUNABLE_LAYERS) and layer.weight in self.prunable
        }
        holders = [parameter for _, parameter in network.named_parameters(remove_duplicate=False)]
        self.shared = {parameter for parameter in self.names if sum(held is parameter for held in holders) > 1}
        self.heads = {layer: heads for heads in attentions(network) for layer in heads.layers}

    def whole(self, layer: nn.Module) -> Group:
        """What goes with all rows of a layer, each counted from the first of the rows that go together.

        The rows of queries, keys and values may be in one weight; of all of them Torch-Pruning says no more which
        belong together.
        """
        rows = len(layer.weight)
        together = sum(len(item.idxs) for item in group_of(self.graph, layer, [0]) if self._writes(item, layer))
        return group_of(self.graph, layer, range(rows // together))

    def _writes(self, item: Any, layer: nn.Module) -> bool:
        return item.dep.target.module is layer and self.graph.is_out_channel_pruning_fn(item.dep.handler)

    def obstacle(self, group: Group) -> str | None:
        """Why the units of a group cannot go; None if they can for all that the graph says."""
        for item in group:
            module, kind = item.dep.target.module, item.dep.target.type
            name = self.graph._module2name.get(module, "")
            if kind is OPTYPE.OUTPUT:
                return FEATURES
            if kind in (OPTYPE.LN, OPTYPE.GN):
                return NORMALISED.format(name)
            if kind is OPTYPE.PARAMETER:
                if module in self.prunable:
                    return OTHER_LAYER.format(self.names[module])
            elif isinstance(module, PRUNABLE_LAYERS):
                if module.weight not in self.prunable:
                    return NOT_PRUNABLE.format(self.names[module.weight])
                if module.weight in self.shared:
                    return SHARED.format(self.names[module.weight])
            elif kind in (OPTYPE.CONV, OPTYPE.DEPTHWISE_CONV, OPTYPE.EMBED, OPTYPE.MHA, OPTYPE.LSTM):
                return OTHER_LAYER.format(name)
        return None

    def members(self, group: Group) -> list[tuple[str, int, np.ndarray, np.ndarray]]:
        """Weight, axis, indices along it, and the root's row that each goes with."""
        found = []
        for item in group:
            module = item.dep.target.module
            if isinstance(module, PRUNABLE_LAYERS) and module.weight in self.prunable:
                axis = 0 if self.graph.is_out_channel_pruning_fn(item.dep.handler) else 1
                found.append((self.prunable[module.weight], axis, np.array(item.idxs), np.array(item.root_idxs)))
        return found

    def families(self, name: str, group: Group) -> list[Family]:
        """The units of a group, in families of as many indices at the same places; none where there is one unit only.

        Rows are one unit that are of one head, and those that have the same place in each group of a convolution.
        """
        members = self.members(group)
        roots = np.unique(np.concatenate([roots for *_, roots in members]))
        links = []
        for weight, axis, indices, of in members:
            layer = self.layers[weight]
            if heads := self.heads.get(layer) if axis == 0 else None:
                links.append((of, indices % (layer.out_features // heads.parts) // heads.width))
            groups = getattr(layer, "groups", 1)
            if groups > 1 and not (axis == 0 and groups == len(layer.weight)):
                size = layer.weight.shape[1] if axis else len(layer.weight) // groups
                links.append((of, indices % size))
        unit = _joined(len(layer_rows := self.layers[name].weight), links)[roots]
        unit_of = np.full(len(layer_rows), -1)
        unit_of[roots] = np.unique(unit, return_inverse=True)[1]
        count = unit_of.max() + 1
        pairs: dict[tuple[str, int], np.ndarray] = {}
        for weight, axis, indices, of in members:
            if axis == 1:
                indices = indices % self.layers[weight].weight.shape[1]
            found = np.stack([unit_of[of], indices], axis=1)
            pairs[weight, axis] = np.unique(
                np.concatenate([*filter(len, [pairs.get((weight, axis), ())]), found]), axis=0
            )
        return _families(name, pairs, count)


def _families(name: str, pairs: Mapping[tuple[str, int], np.ndarray], count: int) -> list[Family]:
    """pairs: (weight, axis) → [k, 2], which unit has which index, in order."""
    sizes = np.stack([np.bincount(found[:, 0], minlength=count) for found in pairs.values()])
    families = []
    kinds, kind_of = np.unique(sizes, axis=1, return_inverse=True)
    for kind in dict.fromkeys(kind_of.ravel().tolist()):
        own = kind_of.ravel() == kind
        if np.count_nonzero(own) < 2 or count < 2:
            continue
        families.append(
            Family(
                name,
                {
                    place: found[own[found[:, 0]], 1].reshape(-1, size).astype(np.int64)
                    for (place, found), size in zip(pairs.items(), kinds[:, kind], strict=True)
                    if size
                },
            )
        )
    return families


def _joined(count: int, links: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Row → a number that is the same for all rows which links join: those of one label in one of the links."""
    ends: list[tuple[np.ndarray, np.ndarray]] = []
    for rows, labels in links:
        ends.append((rows, count + sum(1 + given.max() for _, given in links[: len(ends)]) + labels))
    starts, stops = (np.concatenate([pair[k] for pair in ends]) if ends else np.empty(0, int) for k in (0, 1))
    nodes = count + sum(1 + labels.max() for _, labels in links)
    return connected_components(coo_array((np.ones(len(starts)), (starts, stops)), (nodes, nodes)))[1][:count]


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
    masked.prune({name: torch.from_numpy(keep).to(masked.device) for name, keep in mask.items()})
    expected = masked.network(images)
    try:
        small = shrunk(backbone, units, mask)
        found = small.network(images)
    except Exception:  # whatever a network does whose layers no longer fit together
        return False
    left = sum(weight.numel() for weight in small.prunable().values())
    fits = found.shape == expected.shape and left == sum(map(np.count_nonzero, mask.values()))
    return fits and bool((found - expected).norm() <= TOLERANCE * expected.norm())
