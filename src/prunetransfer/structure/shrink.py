"""The network of a mask without the units that the mask takes whole."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch

from prunetransfer.models.backbones import Backbone
from prunetransfer.structure.graph import attentions, dependency_graph, group_of
from prunetransfer.structure.units import Units, removed


def shrunk(backbone: Backbone, units: Units, mask: Mapping[str, np.ndarray]) -> Backbone:
    """A smaller copy of the backbone that computes what the backbone does under the mask, to rounding.

    A unit goes if the mask takes all its rows and columns, with its biases, norms and running statistics; a mask that
    keeps a part of it keeps it, with zeros. A family of which nothing would be left keeps its first unit, with zeros:
    no layer is of width 0. So the weights that stay may have been recovered in any way. mask: name → bool array that
    covers exactly the prunable weights. Raises ValueError for one of another backbone.
    """
    small = copy.deepcopy(backbone)
    small.prune({name: torch.from_numpy(keep).to(small.device) for name, keep in mask.items()})
    trained = {name: parameter.requires_grad for name, parameter in small.network.named_parameters()}
    small.network.requires_grad_()
    rows: dict[str, list[int]] = defaultdict(list)
    for family, gone in zip(units.families, removed(units, mask), strict=True):
        if gone.all():
            gone[0] = False
        rows[family.name] += family.members[family.name, 0][gone].ravel().tolist()
    heads = attentions(small.network)
    graph = dependency_graph(small, units.image)
    for name, indices in rows.items():
        if indices:
            group_of(graph, small.network.get_submodule(name.removesuffix(".weight")), indices).prune()
    for attention in heads:
        attention.recount()
    for name, parameter in small.network.named_parameters():
        parameter.requires_grad_(trained[name])
    small.lay_out(small.contiguous)
    return small
