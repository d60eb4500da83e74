"""Layer by layer, the weights that what is left of their row can best make up for."""

from __future__ import annotations

import copy
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from prunetransfer.criteria.ranks import shares_below
from prunetransfer.criteria.source import Scores, Source
from prunetransfer.layers.lockstep import Layer, walk
from prunetransfer.layers.positions import gram_matrix
from prunetransfer.layers.rules import require_rules
from prunetransfer.settings.registry import score
from prunetransfer.settings.types import Positions, ShareOfTheRest, Unlabelled

# Columns that are decided on together, and λ over the mean diagonal of H: as published.
COLUMNS = 128
DAMPING = 0.01


@score(sees="images")
def sparsegpt(
    source: Source,
    *,
    sparsity: Annotated[
        ShareOfTheRest,
        Field(
            description="Share of each layer's weights that goes: the masks to be made are of this sparsity, as what "
            "goes decides how the weights after it are changed, and so which of them go."
        ),
    ],
    samples: Unlabelled = 256,
    positions: Positions = 32,
) -> Scores:
    """Places in the order in which SparseGPT prunes: a global mask at `sparsity` is SparseGPT's own.

    SparseGPT (Frantar & Alistarh 2023, arXiv 2301.00774, algorithm 1, and its published code). The layers of a copy of
    the backbone are pruned in forward order by `pruned`, each on what the layers before it, pruned by then, give it on
    the images. The score of a weight is its place among the weights of its layer that are decided on together,
    `shares_below`. A mask at `sparsity` takes round(sparsity · n) of each such n weights, which is the algorithm's own
    mask, but for one more or less where sparsity · n is not whole; the published code takes one more, as it compares by
    ≤. The mask alone is taken: `reconstruct` changes weights for a given mask. Raises ValueError, naming it, for a
    weight that no rule fits.
    """
    images, copied = source.draw(samples).images, copy.deepcopy(source.backbone)
    generator = torch.Generator().manual_seed(source.seed)
    found: Scores = {}

    def prune(layer: Layer) -> None:
        use = layer.use
        hessian = 2 / len(images) * gram_matrix(layer, positions, generator)
        weight, places = pruned(use.matrices(use.weight).double(), hessian, sparsity)
        use.weight.copy_(use.shaped(weight[None])[0])
        found[layer.name] = use.shaped(places[None])[0].to(use.weight.dtype)

    walk(source.backbone, copied, images, prune)
    weights = source.weights()
    require_rules(found, weights)
    return {name: found[name] for name in weights}


def pruned(weight: Tensor, hessian: Tensor, sparsity: float) -> tuple[Tensor, Tensor]:
    """A layer's weights, pruned and changed to make up for it, and each weight's place in the order: [groups, o, c].

    weight: [groups, o, c], columns in the order of the use's `matrices`; hessian: H = 2 Σ_t a_t a_tᵀ over the number of
    images, [groups, c, c]; both float64. With (H + λI)⁻¹ = UᵀU, U upper triangular, columns are decided on COLUMNS at a
    time: of all rows of all groups together, those w_j²/U_jj² go that are the lowest. Each column that loses weights
    moves the columns after it by what it loses over U_jj times its row of U. Inputs that are always zero lose their
    weights first.
    """
    weight, upper = weight.clone(), _factor(hessian)
    weight *= (hessian.diagonal(dim1=-2, dim2=-1) > 0)[:, None]
    places = torch.empty_like(weight)
    for start in range(0, weight.shape[-1], COLUMNS):
        block, rest = slice(start, start + COLUMNS), slice(start + COLUMNS, None)
        importance = (weight[..., block] / upper.diagonal(dim1=-2, dim2=-1)[:, None, block]).square()
        places[..., block] = shares_below(importance.flatten()).view(importance.shape)
        errors = _prune_block(weight[..., block], upper[:, block, block], places[..., block] > sparsity)
        weight[..., rest] -= errors @ upper[:, block, rest]
    return weight, places


def _prune_block(weight: Tensor, upper: Tensor, keep: Tensor) -> Tensor:
    """Change a block of columns [groups, o, b] in place; returns what each column loses over U_jj."""
    errors = torch.zeros_like(weight)
    for j in range(weight.shape[-1]):
        lost = weight[..., j] * ~keep[..., j]
        errors[..., j] = lost / upper[:, j, j, None]
        weight[..., j:] -= errors[..., j, None] * upper[:, None, j, j:]
        weight[..., j] *= keep[..., j]  # exactly zero, where rounding left something
    return errors


def _factor(hessian: Tensor) -> Tensor:
    """U of `pruned`, with 1 for what an input that is always zero has on the diagonal, as published."""
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    filled = torch.where(diagonal > 0, diagonal, 1)
    damped = filled + DAMPING * filled.mean(-1, keepdim=True)
    lower = torch.linalg.cholesky(hessian + torch.diag_embed(damped - diagonal))
    return torch.linalg.cholesky(torch.cholesky_inverse(lower), upper=True)
