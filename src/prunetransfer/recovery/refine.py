"""Choose which weights of each layer stay anew, by how well the layer can then write what the dense one writes."""

from __future__ import annotations

import torch
from torch import Tensor

from prunetransfer.layers.lockstep import Layer, walk
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.reconstruct import products, solve
from prunetransfer.runtime.devices import spare_memory

# Of ADMM: its penalty ρ at first, for inputs of mean square 1; by what factor and every how many iterations ρ grows;
# iterations at most; and the last iteration after which an unchanged choice does not yet end it.
RHO, GROWTH, EVERY, MOST, LEAST = 0.3, 1.15, 3, 80, 30


def refine(case: Case, *, samples: int = 256, positions: int = 32, ridge: float = 0.01) -> dict[str, Tensor]:
    """Another mask with as many weights in each layer as the case's, name → bool tensor; the case's backbone is left
    with it, its kept weights solved as by `reconstruct`.

    case.backbone: with the weights before the case's mask, which `ridge` ties the solution to; samples, positions,
    ridge: as of `reconstruct`. For each layer, in forward order, ADMM looks for the weights W with that many entries
    that minimise Σ_t ‖W a_t + b − y_t‖² + λ ‖W − W_0‖², over positions t of the images: the inputs a_t are those of the
    layers refined before, and y_t is what the dense layer writes in the dense backbone. ALPS (Meng et al. 2024, arXiv
    2406.07831), here with the number of weights of each layer that a global mask leaves it. A weight that the case's
    mask has pruned, or one before it, may come back.
    """
    budget, generator = spare_memory(case.backbone.device), torch.Generator().manual_seed(case.seed)
    refined = dict(case.mask)

    def fit(layer: Layer) -> None:
        use = layer.use
        gram, missing = products(layer, positions, generator)
        penalty = ridge * gram.diagonal(dim1=-2, dim2=-1).mean(-1)
        before, keep = use.matrices(use.weight).double(), use.matrices(case.mask[layer.name])
        keep = chosen(gram, missing + before @ gram, before, keep, penalty)
        start = before * keep
        change = solve(gram, missing + (before - start) @ gram, keep, penalty, budget)
        use.weight.copy_(use.shaped((start + change)[None])[0].to(use.weight.dtype))
        refined[layer.name] = use.shaped(keep[None].to(use.weight.dtype))[0].bool()

    walk(case.dense, case.backbone, case.images(samples), fit)
    case.backbone.prune(refined)
    return refined


def chosen(gram: Tensor, wanted: Tensor, before: Tensor, keep: Tensor, penalty: Tensor) -> Tensor:
    """bool like `keep`, with as many True: where ADMM on min ½ tr W (G + λI) Wᵀ − tr W Cᵀ ends.

    gram: G [groups, c, c]; wanted: Σ_t y_t a_tᵀ [groups, o, c], to which λ W_0 is added to make C; before: W_0, its
    shape; penalty: λ [groups]. All float64 but `keep`. W is found twice, once free (B) and once with that many entries
    (D), with the dual variable V: B = (C − V + ρD) (G + λI + ρI)⁻¹, D the largest entries of B + V/ρ,
    V ← V + ρ(B − D); inputs are scaled so that the diagonal is 1.
    """
    count = int(keep.sum())
    if count in (0, keep.numel()):
        return keep
    damped = gram + torch.diag_embed(penalty[:, None].expand(-1, gram.shape[-1]))
    scale = damped.diagonal(dim1=-2, dim2=-1).sqrt()
    scale = torch.where(scale > 0, scale, 1)  # an input that is always zero
    # Single precision is enough: nothing is divided by less than RHO.
    values, vectors = torch.linalg.eigh((damped / scale[:, :, None] / scale[:, None, :]).float())
    target = ((wanted + penalty[:, None, None] * before) / scale[:, None]).float() @ vectors
    sparse = (before * keep * scale[:, None]).float()
    dual, rho, last = torch.zeros_like(sparse), RHO, keep
    for iteration in range(1, MOST + 1):
        free = ((target + (rho * sparse - dual) @ vectors) / (values[:, None] + rho)) @ vectors.mT
        candidate = free + dual / rho
        largest = _largest(candidate, count)
        sparse = candidate * largest
        dual = dual + rho * (free - sparse)
        if iteration % EVERY == 0:
            if iteration > LEAST and torch.equal(largest, last):
                break
            last, rho = largest, GROWTH * rho
    return largest


def _largest(values: Tensor, count: int) -> Tensor:
    """True at the `count` entries of largest size."""
    found = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    found[values.abs().flatten().topk(count).indices] = True
    return found.view_as(values)
