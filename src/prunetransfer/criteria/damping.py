"""Damping λ of block curvature, chosen by what it does to the pruned backbone on images that the score does not see."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from prunetransfer.datasets.splits import Split, balanced_subset
from prunetransfer.heads import Head
from prunetransfer.heads.losses import LOSSES
from prunetransfer.models.backbones import Backbone, extract_features
from prunetransfer.pruning.apply import mask_tensors, pruned
from prunetransfer.pruning.masks import global_mask
from prunetransfer.pruning.scores import block

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
    sparsities: Sequence[float],
) -> dict[float, dict[float, float]]:
    """λ → sparsity → mean loss over `images` of the backbone so pruned by the block score with that λ's curvature.

    A λ with a loss that is not finite is left out; raises ValueError if none is left. The backbone is as before when
    this returns or fails.
    """
    weights = {name: weight.detach() for name, weight in backbone.prunable().items()}
    labels = images.labels.to(backbone.device)
    losses: dict[float, dict[float, float]] = {}
    for damping, curvature in curvatures.items():
        scores = block(weights, curvature)
        arrays = {name: values.cpu().numpy() for name, values in scores.items()}
        losses[damping] = {}
        for sparsity in sparsities:
            with pruned(backbone, mask_tensors(global_mask(arrays, sparsity), backbone.device)):
                outputs = head(extract_features(backbone, images.images))
            losses[damping][sparsity] = LOSSES[loss](outputs, labels).mean().item()
        listed = ", ".join(f"{value:.5f} at {sparsity:g}" for sparsity, value in losses[damping].items())
        print(f"damping {damping:g}: loss {listed} on {len(labels)} held-out images", flush=True)
    usable = {damping: of for damping, of in losses.items() if all(map(math.isfinite, of.values()))}
    if not usable:
        raise ValueError("damping: auto: the loss of the pruned backbone is not finite at any λ; give damping a number")
    return usable


def least_damaging(losses: Mapping[float, Mapping[float, float]]) -> float:
    """The λ with the least mean over the sparsities of the logarithm of the loss, the smaller of equals.

    losses: λ → sparsity → loss, as `pruned_losses` returns them. By their logarithms a loss that doubles counts alike
    where it is small, at low sparsities, and where it is large: their plain mean would be about the largest alone.
    """
    smallest = np.finfo(np.float32).tiny
    means = {damping: np.log(np.maximum(list(of.values()), smallest)).mean() for damping, of in losses.items()}
    return min(sorted(means), key=means.__getitem__)
