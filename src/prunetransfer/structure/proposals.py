"""Units as Torch-Pruning's groups have them, in rows and columns of prunable weights, and what stays whole and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import nn
from torch_pruning import DependencyGraph
from torch_pruning.dependency import Group
from torch_pruning.ops import OPTYPE

from prunetransfer.models.backbones import Backbone
from prunetransfer.models.plain import PRUNABLE_LAYERS
from prunetransfer.structure.graph import attentions, dependency_graph, group_of
from prunetransfer.structure.units import Family

# Why rows stay.
FEATURES = "the features consist of them"
NORMALISED = "{} normalises over them, so that zeroed is not removed"
OTHER_LAYER = "{} is of no convolution or linear layer"
NOT_PRUNABLE = "{} is not prunable"
SHARED = "{} is shared by several layers"
MISNUMBERED = "Torch-Pruning names some of {} that it does not have"
TOGETHER = "they could only go all together"

# Weight, axis, indices along it, and the row of the group's root that each goes with.
Member = tuple[str, int, np.ndarray, np.ndarray]


def proposals(backbone: Backbone, image: Collection[int]) -> tuple[list[Family], dict[str, str]]:
    """The families that may go for all that Torch-Pruning sees, and by weight why the rows of others stay.

    Weights are taken in order; one whose rows go with those of an earlier one is named there alone. backbone, image: as
    of `dependency_graph`, which says what is raised.
    """
    groups = _Groups(dependency_graph(backbone, image), backbone)
    families: list[Family] = []
    rest: dict[str, str] = {}
    seen: set[str] = set()
    for name in backbone.prunable():
        if name in seen:
            continue
        layer = groups.layers.get(name)
        if layer is None or layer not in groups.graph.module2node:
            rest[name] = OTHER_LAYER.format(name)
            continue
        group = groups.whole(layer)
        members = list(groups.members(group))
        seen |= {weight for weight, axis, *_ in members if axis == 0}
        reason = groups.obstacle(group) or groups.misnumbered(members)
        found = [] if reason else groups.families(name, members)
        families += found
        if not found:
            rest[name] = reason or TOGETHER
    return families, rest


class _Groups:
    """Torch-Pruning's groups of a backbone."""

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
        # A module that is used twice holds them once.
        held = Counter(p for module in network.modules() for p in module.parameters(recurse=False))
        self.shared = {parameter for parameter, holders in held.items() if holders > 1}
        self.heads = {layer: heads for heads in attentions(network) for layer in heads.layers}

    def whole(self, layer: nn.Module) -> Group:
        """What goes with all rows of a layer, said by the first of the rows that go together.

        Queries, keys and values may be rows of one weight: given all of them, Torch-Pruning says no more which go
        together.
        """
        one = group_of(self.graph, layer, [0])
        together = sum(len(item.idxs) for item in one if item.dep.target.module is layer and self._writes(item))
        return group_of(self.graph, layer, range(max(1, len(layer.weight) // together)))

    def _writes(self, item: Any) -> bool:
        return self.graph.is_out_channel_pruning_fn(item.dep.handler)

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

    def members(self, group: Group) -> Iterator[Member]:
        """The rows and columns of prunable layers."""
        for item in group:
            module = item.dep.target.module
            if isinstance(module, PRUNABLE_LAYERS) and module.weight in self.prunable:
                # A depthwise convolution reads and writes the channel of a row.
                axis = 0 if self._writes(item) else 1
                yield self.prunable[module.weight], axis, np.array(item.idxs), np.array(item.root_idxs)

    def misnumbered(self, members: Sequence[Member]) -> str | None:
        """Why a group cannot be true, where Torch-Pruning's rules for views, splits and joins do not fit a network."""
        for weight, axis, indices, _ in members:
            layer = self.layers[weight]
            length = layer.weight.shape[axis] * (getattr(layer, "groups", 1) if axis else 1)
            if not (len(indices) and indices.min() >= 0 and indices.max() < length):
                return MISNUMBERED.format(weight)
        return None

    def families(self, name: str, members: Sequence[Member]) -> list[Family]:
        """Families of two units at least, each of units that have as many indices at the same places.

        Channels are one unit that are of one head, and those that have the same place in each group of a convolution.
        """
        unit_of = _joined(1 + max(roots.max() for *_, roots in members), list(self._links(members)))
        pairs = defaultdict(list)
        for weight, axis, indices, roots in members:
            if axis == 1:
                indices = indices % self.layers[weight].weight.shape[1]
            pairs[weight, axis].append(np.stack([unit_of[roots], indices], axis=1))
        return _alike(name, {place: np.unique(np.concatenate(some), axis=0) for place, some in pairs.items()})

    def _links(self, members: Sequence[Member]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows of the root, and a label of each: those of one label go together."""
        for weight, axis, indices, roots in members:
            layer, width = self.layers[weight], self.layers[weight].weight.shape[1]
            groups = getattr(layer, "groups", 1)
            if axis == 0 and layer in self.heads:
                heads = self.heads[layer]
                yield roots, indices % (layer.out_features // heads.parts) // heads.width
            elif groups > 1 and axis == 1:
                yield roots, indices % width
            elif groups > 1 and groups != layer.out_channels:
                yield roots, indices % (layer.out_channels // groups)


def _joined(count: int, links: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The unit of each of `count` rows, units in the order of their first rows."""
    nodes, edges = count, [np.empty((2, 0), dtype=np.int64)]
    for rows, labels in links:
        edges.append(np.stack([rows, nodes + labels]))
        nodes += 1 + labels.max()
    starts, stops = np.concatenate(edges, axis=1)
    found = connected_components(coo_array((np.ones(len(starts)), (starts, stops)), (nodes, nodes)))[1][:count]
    _, first, unit_of = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[unit_of]


def _alike(name: str, pairs: Mapping[tuple[str, int], np.ndarray]) -> list[Family]:
    """pairs: (weight, axis) → [k, 2], which unit has which index, in order."""
    count = 1 + max(found[:, 0].max() for found in pairs.values())
    sizes = np.stack([np.bincount(found[:, 0], minlength=count) for found in pairs.values()], axis=1)
    families = []
    for kind in dict.fromkeys(map(tuple, sizes)):
        own = (sizes == kind).all(axis=1)
        members = {
            place: found[own[found[:, 0]], 1].reshape(-1, size)
            for (place, found), size in zip(pairs.items(), kind, strict=True)
            if size
        }
        if np.count_nonzero(own) > 1:
            families.append(Family(name, members))
    return families
