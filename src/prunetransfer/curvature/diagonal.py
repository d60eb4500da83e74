"""The diagonal of a matrix of second derivatives, from per-sample gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
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
    """λ = `relative` times the median F_jj of all prunable weights of the backbone that have any curvature.

    The median, not the mean, which a few weights decide: on an ImageNet MobileNetV2 the root mean square of F_jj is 57
    times the mean. Raises ValueError where no weight has curvature, as where no gradient reaches one.
    """
    flat = torch.cat([f.flatten() for f in curvature.values()])
    curved = flat[flat > 0]
    if not len(curved) or not flat.isfinite().all():
        what = "not finite" if len(curved) else "zero"
        raise ValueError(f"the curvature of the backbone is {what}, so no damping can be relative to it")
    return relative * curved.median().item()


def damped_scores(weights: Mapping[str, Tensor], curvature: Mapping[str, Tensor], damping: float) -> dict[str, Tensor]:
    """½ w_j² (F_jj + λ) with one damping λ for the whole backbone.

    >>> damped_scores({"w": torch.tensor([1.0, -2.0, 3.0])}, {"w": torch.tensor([6.0, 0.0, 0.0])}, damping=1.0)
    {'w': tensor([3.5000, 2.0000, 4.5000])}
    """
    return {
        name: (0.5 * w.double().square() * (curvature[name].double() + damping)).to(w.dtype)
        for name, w in weights.items()
    }
