"""Ridge regression on one-hot targets, in closed form."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor
from torch.nn import functional as F

from prunetransfer.heads import Head
from prunetransfer.heads.penalty import ALPHAS, class_weights, largest_within_one_error, principal_axes


def fit_ridge(features: Tensor, labels: Tensor, classes: int, alpha: float | None = None) -> Head:
    """Class-balanced ridge regression on one-hot targets, in float64; the bias is not penalised.

    features [n, d] and labels int64 [n] on one device. Each image i weighs s_i = n / (classes · images of its class);
    the minimised loss is Σ_i s_i ‖φ_iᵀξ + b − y_i‖² + α‖ξ‖² (scikit-learn's RidgeClassifier, class_weight="balanced").
    Where `alpha` is None it is chosen among ALPHAS by the error on held-out train images, each held out in turn: the
    largest within one standard error of the least. Raises ValueError if a class has no image.

    >>> import torch
    >>> features, labels = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]]), torch.tensor([0, 0, 1, 1])
    >>> fit_ridge(features, labels, classes=2, alpha=1.0)(features).argmax(1)
    tensor([0, 0, 1, 1])
    """
    path = _RidgePath(features, labels, classes)
    errors = {} if alpha else {float(alpha): path.left_out_errors(alpha) for alpha in ALPHAS}
    alpha = alpha or largest_within_one_error(errors)
    weight, bias = path.solve(alpha)
    tried = {alpha: error.mean().item() for alpha, error in errors.items()}
    return Head(weight.float(), bias.float(), float(alpha), "ridge", tried)


class _RidgePath:
    """One eigendecomposition of the weighted, centred features' covariance serves every α."""

    def __init__(self, features: Tensor, labels: Tensor, classes: int):
        self.x, self.y = features.double(), F.one_hot(labels, classes).double()
        self.s = class_weights(labels, classes)[:, None]
        self.x_mean = (self.s * self.x).sum(0) / self.s.sum()
        self.y_mean = (self.s * self.y).sum(0) / self.s.sum()
        self.centred = self.s.sqrt() * (self.x - self.x_mean)
        self.values, self.vectors = principal_axes(self.centred)
        self.projected = self.vectors.T @ (self.centred.T @ (self.s.sqrt() * (self.y - self.y_mean)))

    @cached_property
    def rotated(self) -> Tensor:
        """Each image along the axes [n, r]: needed to choose α, and half of the time."""
        return self.centred @ self.vectors

    def solve(self, alpha: float) -> tuple[Tensor, Tensor]:
        """ξ [d, classes] and b [classes]."""
        weight = self.vectors @ (self.projected / (self.values + alpha)[:, None])
        return weight, self.y_mean - self.x_mean @ weight

    def left_out_errors(self, alpha: float) -> Tensor:
        """s_i ‖f_i − y_i‖² [n] of each image under the head fitted on all others: its residual over 1 − leverage."""
        weight, bias = self.solve(alpha)
        leverage = self.s / self.s.sum() + (self.rotated.square() / (self.values + alpha)).sum(1, keepdim=True)
        return (self.s * ((self.x @ weight + bias - self.y) / (1 - leverage)).square()).sum(1)
