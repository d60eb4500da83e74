"""Prune in steps, and recover the backbone between them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from prunetransfer.datasets.splits import Split
from prunetransfer.models.backbones import Backbone
from prunetransfer.pruning.apply import mask_tensors
from prunetransfer.pruning.masks import Mask, global_mask
from prunetransfer.recovery.case import Case


def prune_in_steps(
    dense: Backbone,
    scores: Mapping[str, np.ndarray],
    sparsity: float,
    rounds: int,
    recover: Callable[[Case], None],
    train: Split,
    seed: int = 0,
    beside: Sequence[Split] = (),
    make: Callable[[Mapping[str, np.ndarray], float], Mask] = global_mask,
    refine: Callable[[Case], Mapping[str, Tensor]] | None = None,
) -> tuple[Mask, Backbone]:
    """The mask at a sparsity that is reached in `rounds` steps, and the backbone with it.

    scores: of the dense weights, name → ½ w_j² h_j, where h_j does not depend on w; what such a score says of other
    weights w' is ½ w'_j² h_j. After step k of n the sparsity is 1 − (1 − q)^(k/n); each step prunes the weights of
    lowest score among those that are left, and after each but the last `recover` changes them in place, so that the
    next one ranks what they have become. The masks nest, unless `refine` brings weights back. train, seed, beside: as
    of `Case`, for `recover`. make: the mask of such scores at a sparsity. refine: is given the backbone before the last
    mask, with that mask, and returns another one that it has pruned it by. Gradual pruning by magnitude with training
    between has this form too (Zhu & Gupta 2017). Raises what `make` raises.
    """
    curvature = {
        name: _over_squares(values, dense.prunable()[name].detach().cpu().numpy()) for name, values in scores.items()
    }
    backbone = copy.deepcopy(dense)
    mask = {name: np.ones(values.shape, dtype=bool) for name, values in scores.items()}
    for k in range(1, rounds + 1):
        mask = make(_followed(backbone, curvature, mask), 1 - (1 - sparsity) ** (k / rounds))
        keep = mask_tensors(mask, backbone.device)
        case = Case(backbone, dense, keep, None, train, seed, beside=beside)
        if k == rounds and refine:
            mask = {name: tensor.cpu().numpy() for name, tensor in refine(case).items()}
        else:
            backbone.prune(keep)
        if k < rounds:
            recover(case)
    return mask, backbone


def _over_squares(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """h of ½ w² h, 0 where w is 0."""
    squares = 0.5 * weights.astype(np.float64) ** 2
    return np.divide(scores, squares, out=np.zeros_like(squares), where=squares > 0)


def _followed(backbone: Backbone, curvature: Mapping[str, np.ndarray], mask: Mask) -> dict[str, np.ndarray]:
    """The scores of the weights as they are now; what is pruned has the lowest, below any weight that is left."""
    least = np.finfo(np.float64).tiny
    return {
        name: np.where(
            mask[name],
            np.maximum(0.5 * weight.detach().cpu().numpy().astype(np.float64) ** 2 * curvature[name], least),
            0,
        )
        for name, weight in backbone.prunable().items()
    }
