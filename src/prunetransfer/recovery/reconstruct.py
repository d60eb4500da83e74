"""Re-solve the kept weights of each layer so that it writes what the dense layer writes."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from prunetransfer.layers.lockstep import Layer, walk
from prunetransfer.layers.positions import draw_positions
from prunetransfer.recovery.case import Case
from prunetransfer.runtime.devices import spare_memory
from prunetransfer.settings.registry import recovery
from prunetransfer.settings.types import Positions, Positive, Unlabelled

# Systems that are solved together: those of a CPU stay in a cache.
SYSTEMS_BYTES = {"cpu": 2**25, "cuda": 2**32}


@recovery(labels=False)
def reconstruct(
    case: Case,
    *,
    samples: Unlabelled = 256,
    positions: Positions = 32,
    ridge: Annotated[
        Positive,
        Field(
            description="Penalty on moving away from the weights as they were, over the mean square of the layer's "
            "inputs."
        ),
    ] = 0.01,
) -> None:
    """The kept weights of each layer are solved anew by ridge least squares, so that the layer writes on source images,
    without their labels, what it writes in the dense backbone.

    The sums run over `samples` images of the case, layer by layer in forward order.

    With a_t the input of the pruned layer at position t of an image, as the layers before it are by then, and y_t what
    the dense layer writes there in the dense backbone, each row w of the weight minimises Σ_t (w·a_t + b − y_t)² +
    λ ‖w − w_0‖² over its kept weights; w_0 is the row before, λ is `ridge` times the mean of Σ_t a_tj² over the inputs
    j. An input that is always zero, for want of what would feed it, leaves its weights as they are. The objective of
    AdaPrune (Hubara et al. 2021, arXiv 2102.08124) and SparseGPT (Frantar & Alistarh 2023), here for a given mask.
    """
    budget, generator = spare_memory(case.backbone.device), torch.Generator().manual_seed(case.seed)

    def fit(layer: Layer) -> None:
        use = layer.use
        gram, missing = products(layer, positions, generator)
        penalty = ridge * gram.diagonal(dim1=-2, dim2=-1).mean(-1)
        change = solve(gram, missing, use.matrices(case.mask[layer.name]), penalty, budget)
        use.weight.add_(use.shaped(change[None])[0].to(use.weight.dtype))

    walk(case.dense, case.backbone, case.images(samples), fit)


def products(layer: Layer, most: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Σ_t a_t a_tᵀ [groups, c, c] and Σ_t r_t a_tᵀ [groups, o, c], r_t what the layer lacks of the dense one; float64.

    t: as of `draw_positions`.
    """
    use = layer.use
    weight, bias = use.matrices(use.weight), 0 if use.bias is None else use.bias.view(use.groups, 1, -1)
    groups, o, c = weight.shape
    gram, missing = (weight.new_zeros(groups, rows, c, dtype=torch.float64) for rows in (c, o))
    for a, y in draw_positions(layer, most, generator):
        gram += a.mT @ a
        missing += (y - bias - a @ weight.mT).mT @ a
    return gram, missing


def solve(gram: Tensor, missing: Tensor, keep: Tensor, penalty: Tensor, budget: int) -> Tensor:
    """δ [groups, o, c], for each row with its kept set K: δ_K = (H_KK)⁻¹ m_K, else 0, with H = G + λI.

    gram: G [groups, c, c]; missing: m [groups, o, c]; keep: bool, shaped like it; penalty: λ [groups]. A row that keeps
    more than half has its pruned set P solved instead, which is the smaller system: with d = H⁻¹m, the change that
    leaves P at zero is δ = d − H⁻¹_P (H⁻¹_PP)⁻¹ d_P.
    """
    # A dead input has neither products nor, where all inputs are dead, a penalty.
    damped = gram + torch.diag_embed(penalty.clamp(min=torch.finfo(gram.dtype).tiny)[:, None].expand(gram.shape[:2]))
    many = keep.sum(-1, keepdim=True) > keep.shape[-1] // 2
    change = _solved(damped, missing, keep & ~many, budget)
    if many.any():
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
        free = missing @ inverse
        change = torch.where(many, free - _solved(inverse, free, ~keep & many, budget) @ inverse, change)
    return change * keep


def _solved(matrix: Tensor, wanted: Tensor, chosen: Tensor, budget: int) -> Tensor:
    """x [groups, o, c], for each row with its chosen set S: x_S = (A_SS)⁻¹ y_S, else 0.

    matrix: A [groups, c, c]; wanted: y [groups, o, c]; chosen: bool, shaped like it. The rows of all groups are ordered
    by the size of their systems and solved by Cholesky, as many together as fit into `budget` bytes; the systems of a
    batch are filled up with the identity.
    """
    groups, o, c = wanted.shape
    found, wanted, chosen = torch.zeros_like(wanted).view(-1, c), wanted.reshape(-1, c), chosen.reshape(-1, c)
    group = torch.arange(groups, device=matrix.device).repeat_interleave(o)
    counts = chosen.sum(1)
    order = counts.argsort(descending=True)
    order = order[: int((counts > 0).sum())]
    chosen_first = (~chosen).to(torch.uint8).argsort(dim=1, stable=True)
    while len(order):
        size = int(counts[order[0]])
        at_once = max(1, min(SYSTEMS_BYTES[matrix.device.type], budget) // (8 * size * size))
        rows, order = order[:at_once], order[at_once:]
        which = chosen_first[rows, :size]
        real = torch.arange(size, device=matrix.device) < counts[rows, None]
        systems = matrix[group[rows, None, None], which[:, :, None], which[:, None, :]]
        systems *= (real[:, :, None] & real[:, None, :]).to(systems.dtype)
        systems.diagonal(dim1=-2, dim2=-1).add_((~real).to(systems.dtype))
        y = (wanted[rows[:, None], which] * real)[:, :, None]
        found[rows[:, None], which] = torch.cholesky_solve(y, torch.linalg.cholesky(systems))[:, :, 0] * real
    return found.view(groups, o, c)
