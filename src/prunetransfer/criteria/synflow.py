"""How much flows through each weight, without any data."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from prunetransfer.criteria.source import Scores, Source
from prunetransfer.models.backbones import Backbone
from prunetransfer.settings.registry import score
from prunetransfer.settings.types import Count

# The share of weights that the last round leaves. One order serves masks of all sparsities, and hardly any network
# works with fewer weights; a longer way would take larger steps in the same rounds.
LEAST_DENSITY = 0.01


@score(sees=None)
def synflow(
    source: Source,
    *,
    rounds: Annotated[
        Count, Field(description="Steps of pruning, after each of which scores are computed anew.")
    ] = 100,
) -> Scores:
    """The order in which weights go when those of least |∂R/∂w_j · w_j| go round by round, as a share of all weights.

    R is the sum of the features of the network with all parameters made absolute, weights, biases and those of norms,
    on one image of ones: SynFlow (Tanaka, Kunin, Yamins, Ganguli 2020, arXiv 2006.05467, algorithm 1). After round k of
    n, round(p · LEAST_DENSITY^(k/n)) of all p weights are left. Who goes in the same round goes by the scores of that
    round, and who is left at the end stays by the last. Computed in float64, as R grows with every layer; raises
    ValueError where it overflows even so.

    Without norms and attention R is the sum over all paths of the products of their weights, and the scores of a layer
    sum to R, so that no layer loses all its weights long before the others. Batch normalisation in evaluation mode is a
    fixed affine map, but its running means are taken away as they are, so that paths no longer add up to R. Layer
    normalisation and softmax divide by what flows: R hardly grows with it, and the score says only how R reacts to each
    weight, not how much flows through it.
    """
    backbone = absolute(source.backbone)
    weights = backbone.prunable()
    image = torch.ones(1, *source.shape, dtype=torch.float64, device=backbone.device)
    alive = torch.ones(sum(w.numel() for w in weights.values()), dtype=torch.bool, device=backbone.device)
    order: list[Tensor] = []
    for k in range(1, rounds + 1):
        ranked = ranking(flow(backbone, image), alive)
        going = len(ranked) - round(len(alive) * LEAST_DENSITY ** (k / rounds))
        order.append(ranked[:going])
        alive[order[-1]] = False
        keep(weights, alive)
    order.append(ranked[going:])
    places = torch.empty(len(alive), dtype=torch.float64, device=backbone.device)
    places[torch.cat(order)] = torch.arange(len(alive)).to(places) / len(alive)
    parts = places.split([w.numel() for w in weights.values()])
    return {
        name: part.view(w.shape).to(w.dtype) for (name, w), part in zip(source.weights().items(), parts, strict=True)
    }


@torch.no_grad()
def absolute(backbone: Backbone) -> Backbone:
    """A copy in float64 and evaluation mode, all its parameters made absolute; buffers stay as they are."""
    copied = copy.deepcopy(backbone).double().eval()
    for parameter in copied.parameters():
        parameter.abs_()
    return copied


def flow(backbone: Backbone, image: Tensor) -> Tensor:
    """|∂R/∂w_j · w_j| of all prunable weights, joined: [p]."""
    weights = [weight.requires_grad_() for weight in backbone.prunable().values()]
    slopes = torch.autograd.grad(backbone.network(image).sum(), weights, materialize_grads=True)
    found = torch.cat([(slope * w.detach()).abs().flatten() for slope, w in zip(slopes, weights, strict=True)])
    if not found.isfinite().all():
        raise ValueError("synflow: the sum of the features overflows, as weights are made absolute and layers are many")
    return found


def ranking(scores: Tensor, alive: Tensor) -> Tensor:
    """Which weights are alive, in the order of their scores, of equal scores the earlier first."""
    which = alive.nonzero()[:, 0]
    return which[scores[which].argsort(stable=True)]


@torch.no_grad()
def keep(weights: Mapping[str, Tensor], alive: Tensor) -> None:
    """Set to zero, in place, the weights that are not alive: [p]."""
    for weight, part in zip(weights.values(), alive.split([w.numel() for w in weights.values()]), strict=True):
        weight.mul_(part.view(weight.shape))
