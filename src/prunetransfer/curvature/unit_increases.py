"""The loss increase when a whole unit goes: the exact quadratic form over all its weights, without any matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from prunetransfer.curvature.gradients import LayerGradient
from prunetransfer.layers.rules import parts
from prunetransfer.structure.units import Family, Units, over_units, summed


def quadratic(
    units: Units,
    weights: Mapping[str, Tensor],
    gradients: Iterable[Mapping[str, LayerGradient]],
    images: int,
    damping: float,
) -> list[np.ndarray]:
    """½ 1/m Σ_i (g_iᵀ w_g)² + ½ λ ‖w_g‖² for each family: float64 [units].

    w_g holds the distinct weights of a unit and g_i the per-sample gradients of these, so this is ½ w_gᵀ (F + λI) w_g
    with F = 1/m Σ_i g_i g_iᵀ, products of different weights included: Fisher pruning of channels (Theis et al. 2018,
    arXiv 1801.05787), and of all that is coupled with one (Liu et al. 2021, arXiv 2108.00708). gradients: all of m
    images, batch by batch; an image may have several, as of `mean_squares`. damping: λ. Gradients are formed for as
    many images at once as fit a cache.
    """
    squares = {name: 0.5 * w.double().square().cpu().numpy() for name, w in weights.items()}
    increases = [damping * values for values in summed(units, squares)]
    for batch in gradients:
        for place, family in enumerate(units.families):
            products = _products(family, weights, batch)
            increases[place] += 0.5 / images * products.square().sum(0).cpu().numpy()
    return increases


def _products(family: Family, weights: Mapping[str, Tensor], batch: Mapping[str, LayerGradient]) -> Tensor:
    """g_iᵀ w_g of each image and unit: float64 [n, units]."""
    total: Tensor | int = 0
    for name in dict.fromkeys(name for name, _ in family.members):
        own = Family(name, {place: indices for place, indices in family.members.items() if place[0] == name})
        g, w = batch[name], weights[name]
        rows = []
        for part in parts(g.images, w.numel(), w.device):
            terms = (g.materialise(part) * w).reshape(-1, *w.shape[:2], w[0, 0].numel())
            rows.append(over_units(own, {name: terms.sum(-1, dtype=torch.float64)}))
        total = total + torch.cat(rows)
    return total
