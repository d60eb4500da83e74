"""Blocks of B consecutive weights of one layer: F_b = 1/m Σ_i g_ib g_ibᵀ, and the diagonal of (F_b + λI)⁻¹."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from prunetransfer.curvature.removals import greedy_costs

# Blocks that are factored together, in float64: those of a CPU stay in a cache, those of a GPU fill it.
BLOCKS_AT_ONCE = {"cpu": 64, "cuda": 2048}


class NotPositiveDefinite(ValueError):
    """F_b + λI has no Cholesky factor in floating point."""


class LayerBlocks:
    """The blocks of some consecutive weights of a layer, from all rows g_i of the layer.

    weights: which, beginning with a block; the last block may be shorter. The rows are kept as they are while they are
    fewer than B, their products [blocks, B, B] from then on: the smaller of the two, in the rows' type. Products of
    float32 rows are summed in float32, which agrees with float64 to about five digits.
    """

    def __init__(self, weights: slice, block_size: int):
        self.weights, self.block_size, self.count = weights, block_size, 0
        self.rows: list[Tensor] = []
        self.products: Tensor | None = None

    def add(self, gradients: Tensor) -> None:
        """Take in some rows [n, p] of the layer."""
        self.count += len(gradients)
        blocks = self._in_blocks(gradients[:, self.weights])
        if self.count < self.block_size:
            self.rows.append(blocks.clone(memory_format=torch.contiguous_format))
            return
        if self.products is None:
            self.products = blocks.new_zeros(len(blocks), self.block_size, self.block_size)
        for rows in (*self.rows, blocks):
            self.products.baddbmm_(rows.mT, rows)
        self.rows.clear()

    def _in_blocks(self, rows: Tensor) -> Tensor:
        """[n, weights] → [blocks, n, B]; zeros fill the last block, where λI keeps them from the rest."""
        padded = F.pad(rows, (0, -rows.shape[1] % self.block_size))
        return padded.unflatten(1, (-1, self.block_size)).transpose(0, 1)

    def inverse_diagonal(self, images: int, damping: float) -> Tensor:
        """[(F_b + λI)⁻¹]_jj of the weights, float32; images: m; damping: λ.

        Raises NotPositiveDefinite. The factorisation is float64.
        """
        diagonal_of = self._from_rows if self.products is None else self._from_products
        sources = self._sources()
        diagonals = []
        for source in sources.split(BLOCKS_AT_ONCE[sources.device.type]):
            diagonals.append(diagonal_of(source.double(), images, damping))
            if not (diagonals[-1] > 0).all():
                raise NotPositiveDefinite(f"F + λI is not positive definite; raise damping ({damping:g})")
        return torch.cat(diagonals).flatten()[: self.weights.stop - self.weights.start].float()

    def taken_over(self, images: int, damping: float, dense: Tensor, keep: Tensor) -> Tensor:
        """What the kept weights K take over from the pruned ones P: H_KK⁻¹ H_KP w_P, 0 on P; H = F_b + λI.

        dense, keep: all weights w of the layer and whether each is kept, flat; returns float32, of these blocks alone.
        Raises NotPositiveDefinite. The factorisation is float64.
        """
        length = self.weights.stop - self.weights.start
        w, k = (
            F.pad(x[self.weights].double(), (0, -length % self.block_size)).view(-1, self.block_size, 1)
            for x in (dense, keep)
        )
        at_once = BLOCKS_AT_ONCE[w.device.type]
        sources = self._sources().split(at_once)
        changes = []
        for source, w_b, k_b in zip(sources, w.split(at_once), k.split(at_once), strict=True):
            products = self._products(source) / images
            # On P the system is the identity, so that all blocks are solved together; λI has no part in H_KP.
            system = products * (k_b * k_b.mT) + torch.diag_embed((damping * k_b + (1 - k_b))[:, :, 0])
            changes.append(torch.cholesky_solve(k_b * (products @ ((1 - k_b) * w_b)), _cholesky(system)))
            if not changes[-1].isfinite().all():
                raise NotPositiveDefinite(f"F + λI is not positive definite; raise damping ({damping:g})")
        return torch.cat(changes).flatten()[:length].float()

    def removal_costs(self, images: int, damping: float, dense: Tensor) -> Tensor:
        """`removals.greedy_costs` of the weights of each block, with H = F_b + λI; float32.

        dense: these weights, flat. Raises NotPositiveDefinite. All is computed in float64.
        """
        length = len(dense)
        # The zeros that fill the last block cost nothing, go first, and change no other weight.
        w = F.pad(dense.double(), (0, -length % self.block_size)).view(-1, self.block_size)
        at_once = BLOCKS_AT_ONCE[w.device.type]
        costs = []
        for source, w_b in zip(self._sources().split(at_once), w.split(at_once), strict=True):
            identity = torch.eye(self.block_size, dtype=w.dtype, device=w.device)
            factor = _cholesky(self._products(source) / images + damping * identity)
            costs.append(greedy_costs(torch.cholesky_inverse(factor), w_b.clone()))
            if not costs[-1].isfinite().all():
                raise NotPositiveDefinite(f"F + λI is not positive definite; raise damping ({damping:g})")
        return torch.cat(costs).flatten()[:length]

    def _sources(self) -> Tensor:
        """What was kept of the rows: themselves [blocks, n, B], or their products [blocks, B, B]."""
        return torch.cat(self.rows, 1) if self.products is None else self.products

    def _products(self, source: Tensor) -> Tensor:
        """Of some of `_sources`, the products in float64."""
        return source.double().mT @ source.double() if self.products is None else source.double()

    @staticmethod
    def _from_products(products: Tensor, images: int, damping: float) -> Tensor:
        """With F_b + λI = LLᵀ, the column sums of squares of L⁻¹; NaN where there is no such L."""
        identity = torch.eye(products.shape[-1], dtype=products.dtype, device=products.device)
        factor = _cholesky(products / images + damping * identity)
        return torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=False).square().sum(-2)

    @staticmethod
    def _from_rows(g: Tensor, images: int, damping: float) -> Tensor:
        """The diagonal of (I − Gᵀ(mλI + GGᵀ)⁻¹G)/λ (Woodbury), G the rows of a block; needs no [B, B] matrix."""
        identity = torch.eye(g.shape[1], dtype=g.dtype, device=g.device)
        factor = _cholesky(g @ g.mT + images * damping * identity)
        return (1 - torch.linalg.solve_triangular(factor, g, upper=False).square().sum(-2)) / damping


def _cholesky(matrices: Tensor) -> Tensor:
    factor, failed = torch.linalg.cholesky_ex(matrices)
    return factor.fill_(torch.nan) if failed.any() else factor
