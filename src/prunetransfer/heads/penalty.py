"""What every kind of head shares: balanced classes, the axes that decouple a penalty, and the rule that chooses it.

A head minimises Σ_i s_i ℓ_i + ½α‖ξ‖² over ξ and an unpenalised bias, ℓ_i being the loss of image i.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

ALPHAS = np.logspace(-3, 6, 19)


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """s_i = n / (classes · images of the class of i), float64 [n]. Raises ValueError if a class has no image.

    >>> class_weights(torch.tensor([0, 0, 0, 1]), classes=2)
    tensor([0.6667, 0.6667, 0.6667, 2.0000], dtype=torch.float64)
    """
    counts = torch.bincount(labels, minlength=classes)
    if (counts == 0).any():
        raise ValueError(f"head: class {int(counts.argmin())} of {classes} has no train image")
    return (len(labels) / (classes * counts.double()))[labels]


def principal_axes(centred: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [r] and orthonormal eigenvectors [d, r] of `centred`ᵀ`centred`, by way of the smaller Gram matrix.

    centred: [n, d]. Both are float64; where n ≥ d, as exact as a Gram matrix of the given precision. Where n < d,
    directions in which nothing varies are left out.
    """
    if len(centred) >= centred.shape[1]:
        values, vectors = torch.linalg.eigh((centred.T @ centred).double())
        return values.clamp(min=0), vectors
    centred = centred.double()
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    varies = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    values, vectors = values[varies], vectors[:, varies]
    return values, centred.T @ vectors / values.sqrt()


def largest_within_one_error(errors: Mapping[float, Tensor]) -> float:
    """The largest penalty whose mean error is within one standard error of the least (Breiman et al. 1984).

    errors: penalty → error of each held-out image [n]. Many penalties read the dense features equally well; a head with
    needlessly large weights makes any pruning look worse than it is.

    >>> errors = {0.1: [0.9, 1.1], 1.0: [1.0, 1.1], 10.0: [2.0, 2.1]}
    >>> largest_within_one_error({alpha: torch.tensor(error) for alpha, error in errors.items()})
    1.0
    """
    limit = error_limit(errors)
    return max(alpha for alpha, error in errors.items() if error.mean() <= limit)


def error_limit(errors: Mapping[float, Tensor]) -> Tensor:
    """The least mean error plus its standard error."""
    best = min(errors.values(), key=torch.sum)
    return best.mean() + best.std() / math.sqrt(len(best))
