"""The diagonal of a matrix of second derivatives, from per-sample gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from torch import Tensor

from prunetransfer.curvature.gradients import LayerGradient


def mean_squares(gradients: Iterable[Mapping[str, LayerGradient]], images: int) -> dict[str, Tensor]:
    """F_jj = 1/m Σ_i g_ij² over all per-sample gradients g_i of m images; an image may have several."""
    sums: dict[str, Tensor] = {}
    for batch in gradients:
        for name, g in batch.items():
            squares = g.square_sum()
            sums[name] = sums[name].add_(squares) if name in sums else squares
    return {name: total / images for name, total in sums.items()}


def damping_of(curvature: Mapping[str, Tensor], relative: float) -> float:
    """λ = `relative` times the mean F_jj over all prunable weights of the backbone.

    Raises ValueError if that is not a number above 0, as where no gradient reaches a weight.
    """
    total, count = (sum(of(f) for f in curvature.values()) for of in (lambda f: f.double().sum().item(), Tensor.numel))
    damping = relative * total / count
    if not 0 < damping < math.inf:
        raise ValueError(
            f"the mean curvature of the backbone is {total / count:g}, so no damping can be relative to it"
        )
    return damping


def damped_scores(weights: Mapping[str, Tensor], curvature: Mapping[str, Tensor], relative: float) -> dict[str, Tensor]:
    """½ w_j² (F_jj + λ), λ of `damping_of`: the diagonal with one damping for the whole backbone.

    >>> import torch
    >>> damped_scores({"w": torch.tensor([1.0, -2.0, 3.0])}, {"w": torch.tensor([6.0, 0.0, 0.0])}, relative=0.5)
    {'w': tensor([3.5000, 2.0000, 4.5000])}
    """
    damping = damping_of(curvature, relative)
    return {
        name: (0.5 * w.double().square() * (curvature[name].double() + damping)).to(w.dtype)
        for name, w in weights.items()
    }
