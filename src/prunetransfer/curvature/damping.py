"""Damping λ of block curvature, chosen by what it does to the pruned backbone on images that the score does not see."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from prunetransfer.backbones import Backbone, extract_features
from prunetransfer.datasets.splits import Split, balanced_subset
from prunetransfer.heads import Head
from prunetransfer.losses import LOSSES
from prunetransfer.masks import global_mask
from prunetransfer.scores import SCORES

GRID = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def held_out(train: Split, chosen: Tensor, seed: int) -> Split:
    """Images of `train` that are not among `chosen` (indices): at most as many, balanced by class, drawn with `seed`.

    Raises ValueError if there is none.
    """
    free = torch.ones(len(train.labels), dtype=torch.bool)
    free[chosen] = False
    others = free.nonzero()[:, 0]
    if len(others) == 0:
        raise ValueError(
            f"damping: auto needs train images that the score does not see, but `samples` takes all {len(chosen)}; "
            "lower it, or give damping a number"
        )
    others = others[balanced_subset(train.labels[others], len(chosen), seed)]
    return Split(train.images[others], train.labels[others], train.classes)


@torch.no_grad()
def pruned_losses(
    backbone: Backbone,
    head: Head,
    images: Split,
    curvatures: Mapping[float, Mapping[str, Tensor]],
    loss: str,
    sparsity: float,
) -> dict[float, float]:
    """λ → mean loss over `images` of the backbone pruned by the block score with that λ's curvature.

    A loss that is not finite is left out; raises ValueError where none is left. The backbone is as before when this
    returns or fails.
    """
    weights = backbone.prunable()
    dense = {name: weight.detach().clone() for name, weight in weights.items()}
    labels = images.labels.to(backbone.device)
    found = {}
    for damping, curvature in curvatures.items():
        scores = SCORES["block"].function(dense, curvature)
        mask = global_mask({name: values.cpu().numpy() for name, values in scores.items()}, sparsity)
        try:
            backbone.prune({name: torch.from_numpy(keep).to(backbone.device) for name, keep in mask.items()})
            outputs = head(extract_features(backbone, images.images))
            found[damping] = LOSSES[loss](outputs, labels).mean().item()
        finally:
            for name, weight in weights.items():
                weight.copy_(dense[name])
        print(f"damping {damping:g}: loss {found[damping]:.5f} on {len(labels)} held-out images", flush=True)
    finite = {damping: value for damping, value in found.items() if math.isfinite(value)}
    if not finite:
        raise ValueError(f"damping: auto: the loss of the pruned backbone is NaN or infinite at each of {list(found)}")
    return finite
