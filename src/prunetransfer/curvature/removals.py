"""Weights of a block that are removed one after another, each time the one that costs the least."""

from __future__ import annotations

import torch
from torch import Tensor


def greedy_costs(inverse: Tensor, w: Tensor) -> Tensor:
    """The largest cost of the removals of a block up to that of each weight: float32 [blocks, B], strictly growing.

    inverse: H⁻¹ [blocks, B, B]; w [blocks, B]; both are overwritten. Each step removes the weight of least
    ρ_j = w_j² / (2 [H⁻¹]_jj), of equal ones the first. The others move by −w_j / [H⁻¹]_jj · H⁻¹_·j, to where ½ wᵀHw of
    the change is least, and H⁻¹ − H⁻¹_·j H⁻¹_j· / [H⁻¹]_jj is the inverse of H restricted to them (Hassibi, Stork 1992,
    Frantar, Alistarh 2022, arXiv 2208.11580, lemma 1). A later ρ may be smaller than an earlier one, so costs are
    running maxima; where that makes costs equal the later one is the next number of float32, so that the order of the
    removals can be read from them. Where an [H⁻¹]_jj is not above 0 the weight's cost is NaN.
    """
    left = torch.ones_like(w, dtype=torch.bool)
    costs = w.new_zeros(w.shape, dtype=torch.float32)
    highest = costs.new_full((len(w), 1), -1.0)
    diagonal = inverse.diagonal(dim1=1, dim2=2)
    for _ in range(w.shape[1]):
        rho = torch.where(left, w.square() / (2 * diagonal), torch.inf)
        j = rho.argmin(1, keepdim=True)
        column = inverse.take_along_dim(j[:, :, None], 2)[:, :, 0]
        pivot = column.gather(1, j)
        cost = torch.where(pivot > 0, rho.gather(1, j), torch.nan).float()
        highest = torch.maximum(cost, highest.nextafter(highest.new_tensor(torch.inf)))
        costs.scatter_(1, j, highest)
        w.sub_(w.gather(1, j) / pivot * column)
        inverse.baddbmm_(column[:, :, None], (column / pivot)[:, None, :], alpha=-1)
        left.scatter_(1, j, False)
    return costs
