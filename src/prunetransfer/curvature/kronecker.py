"""The part of F that a layer has, as a Kronecker product G ⊗ A of what its per-sample gradients are products of.

curvlinops 3.0 finds the same A and G where a module of PyTorch is one linear layer or convolution. It averages over the
groups of a convolution that has several, reads its own losses only, and gives no diagonal of the inverse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from prunetransfer.curvature.gradients import LayerGradient, Products
from prunetransfer.layers.rules import ProductUse

Batch = Mapping[str, LayerGradient]

# What is formed of a batch's gradients of one layer: enough images for a sum of A to cost little beside their products.
NUMBERS_AT_ONCE = 2**26


class Factors:
    """A [groups, c, c] and G [groups, o, o] of one weight in float64; a group of a convolution is a layer of its own.

    With g_i = Σ_t b_it a_itᵀ [o, c] over the positions t of image i (`layers.rules`), A is the mean of a_it a_itᵀ over
    images and positions, G the mean over images of Σ_t b_it b_itᵀ. G ⊗ A is F where there is one position and b is
    independent of a, or where moreover positions are uncorrelated (Grosse, Martens 2016, arXiv 1602.01407; "expand" in
    Eschenhagen et al. 2023, arXiv 2311.00636). Where a weight has several uses, those of each are more positions.
    """

    use: ProductUse

    def __init__(self) -> None:
        self.a_sum: Tensor | float = 0.0
        self.g_sum: Tensor | float = 0.0
        self.positions = 0  # of all images

    def add(self, gradient: Products) -> None:
        """Take in some images: their products are formed in the gradient's type, and summed in float64."""
        for part in _parts(gradient):
            for self.use, a, b in _factors(gradient, part):
                self.a_sum = self.a_sum + _products(a).double()
                self.g_sum = self.g_sum + _products(b).double()
                self.positions += a.shape[0] * a.shape[2]

    def eigenbases(self, images: int) -> Eigenbases:
        """Of G ⊗ A; images: m. Raises torch.linalg.LinAlgError where the factors are not finite."""
        a, u_a = torch.linalg.eigh(self.a_sum / self.positions)
        g, u_g = torch.linalg.eigh(self.g_sum / images)
        # Rounding can leave an eigenvalue below zero.
        return Eigenbases(self.use, u_a, u_g, g.clamp(min=0)[:, :, None] * a.clamp(min=0)[:, None, :])


@dataclass(frozen=True)
class Eigenbases:
    """F ≈ (U_G ⊗ U_A) diag(Λ) (U_G ⊗ U_A)ᵀ: U_A [groups, c, c], U_G [groups, o, o], eigenvalues Λ [groups, o, c]."""

    use: ProductUse
    u_a: Tensor
    u_g: Tensor
    eigenvalues: Tensor

    def inverse_diagonal(self, damping: float) -> Tensor:
        """[(F + λI)⁻¹]_(ij),(ij) = Σ_kl U_G[i, k]² U_A[j, l]² / (Λ_kl + λ), in the weight's shape; damping: λ."""
        inverse = self.u_g.square() @ (self.eigenvalues + damping).reciprocal() @ self.u_a.mT.square()
        return self.use.shaped(inverse[None])[0]

    def square_sum(self, gradient: Products) -> Tensor:
        """Σ_i ((U_Gᵀ g_i U_A)_kl)² [groups, o, c] over some images, in the gradient's type."""
        u_a, u_g = self.u_a.to(gradient.dtype), self.u_g.to(gradient.dtype)
        return sum(
            sum(_rotated(a, b, u_a, u_g) for _, a, b in _factors(gradient, part)).square().sum(0)
            for part in _parts(gradient)
        )


def take_in(gradients: Iterable[Batch], layers: dict[str, Factors]) -> Iterator[Batch]:
    """Pass on the gradients, and let `layers` have the factors of every weight that has any: one pass serves both."""
    for batch in gradients:
        for name, gradient in batch.items():
            if has_factors(gradient):
                layers.setdefault(name, Factors()).add(gradient)
        yield batch


def eigenvalue_corrected(
    bases: Mapping[str, Eigenbases], gradients: Iterable[Batch], images: int
) -> dict[str, Eigenbases]:
    """The same bases with Λ_kl = 1/m Σ_i ((U_Gᵀ g_i U_A)_kl)², which no other Λ there is closer to F than; images: m.

    The eigenvalue correction of George et al. 2018 (arXiv 1806.03884), closeness in Frobenius norm.
    """
    sums: dict[str, Tensor | float] = dict.fromkeys(bases, 0.0)
    for batch in gradients:
        for name, basis in bases.items():
            sums[name] = sums[name] + basis.square_sum(batch[name]).double()
    return {name: replace(basis, eigenvalues=sums[name] / images) for name, basis in bases.items()}


def has_factors(gradient: LayerGradient) -> bool:
    """Whether g_i is a sum of products bᵀa whose factors have one shape."""
    return isinstance(gradient, Products) and len({use.groups for use, _, _ in gradient.terms}) == 1


def _parts(gradient: Products) -> list[slice]:
    """The images in parts of which neither what is read nor the products are more than NUMBERS_AT_ONCE, or singly."""
    w = gradient.weight
    read = max(b[0].numel() // len(w) * use.groups * w[0].numel() for use, _, b in gradient.terms)
    at_once = max(1, NUMBERS_AT_ONCE // max(read, w.numel()))
    return [slice(start, start + at_once) for start in range(0, gradient.images, at_once)]


def _factors(gradient: Products, part: slice) -> Iterator[tuple[ProductUse, Tensor, Tensor]]:
    """Each use of the weight with its a [n, groups, T, c] and b [n, groups, T, o]."""
    for use, a, b in gradient.terms:
        yield use, *use.factors(a[part].to(gradient.dtype), b[part].to(gradient.dtype))


def _products(rows: Tensor) -> Tensor:
    """Σ_it x_it x_itᵀ [groups, k, k] of x [n, groups, T, k]."""
    rows = rows.transpose(0, 1).flatten(1, 2)
    return rows.mT @ rows


def _rotated(a: Tensor, b: Tensor, u_a: Tensor, u_g: Tensor) -> Tensor:
    """U_Gᵀ (Σ_t b_it a_itᵀ) U_A [n, groups, o, c], by the cheaper of two orders."""
    (positions, c), o = a.shape[2:], b.shape[3]
    if positions * (c * c + o * o) < o * c * (o + c):
        return torch.einsum("ngto,gok->ngkt", b, u_g) @ torch.einsum("ngtc,gcl->ngtl", a, u_a)
    return torch.einsum("ngkc,gcl->ngkl", torch.einsum("ngoc,gok->ngkc", b.mT @ a, u_g), u_a)
