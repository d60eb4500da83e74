"""Linear classifiers ξ on frozen dense features: outputs are φ(x; W)ᵀξ plus a bias."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from prunetransfer.artifacts import read_metadata, read_tensors

ALPHAS = np.logspace(-3, 6, 19)


@dataclass(frozen=True)
class Head:
    """weight [d, classes], bias [classes]; alpha: the ridge penalty it was fitted with."""

    weight: Tensor
    bias: Tensor
    alpha: float

    def __call__(self, features: Tensor) -> Tensor:
        return features @ self.weight + self.bias

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32) -> Head:
        return replace(self, weight=self.weight.to(device, dtype), bias=self.bias.to(device, dtype))


def read_head(path: str | Path, device: torch.device) -> Head:
    """A head from its file, on `device`, float32."""
    tensors = read_tensors(path)
    weight, bias = torch.from_numpy(tensors["weight"]), torch.from_numpy(tensors["bias"])
    return Head(weight, bias, read_metadata(path)["alpha"]).to(device)


def fit_ridge(features: Tensor, labels: Tensor, classes: int, alpha: float | None = None) -> Head:
    """Class-balanced ridge regression on one-hot targets, in closed form and float64; the bias is not penalised.

    features [n, d] and labels int64 [n] on the CPU. Each image i weighs s_i = n / (classes · images of its class); the
    minimised loss is Σ_i s_i ‖φ_iᵀξ + b − y_i‖² + α‖ξ‖² (scikit-learn's RidgeClassifier, class_weight="balanced").
    Where `alpha` is None it is chosen among ALPHAS by the error on held-out train images, each held out in turn: the
    largest whose mean error is within one standard error of the least (the rule of Breiman et al. 1984). Many α read
    the dense features equally well; a head with needlessly large weights makes any pruning look worse than it is.
    Raises ValueError if a class has no image.
    """
    counts = torch.bincount(labels, minlength=classes)
    if (counts == 0).any():
        raise ValueError(f"ridge head: class {int(counts.argmin())} of {classes} has no train image")
    path = _RidgePath(features, labels, counts)
    alpha = _chosen_alpha(path) if alpha is None else alpha
    weight, bias = path.solve(alpha)
    return Head(weight.float(), bias.float(), float(alpha))


class _RidgePath:
    """One eigendecomposition of the weighted, centred features' covariance serves every α."""

    def __init__(self, features: Tensor, labels: Tensor, counts: Tensor):
        self.x, self.y = features.double(), F.one_hot(labels, len(counts)).double()
        self.s = (len(labels) / (len(counts) * counts.double()))[labels][:, None]
        self.x_mean = (self.s * self.x).sum(0) / self.s.sum()
        self.y_mean = (self.s * self.y).sum(0) / self.s.sum()
        centred = self.s.sqrt() * (self.x - self.x_mean)
        values, self.vectors = torch.linalg.eigh(centred.T @ centred)
        self.values = values.clamp(min=0)
        self.rotated = centred @ self.vectors
        self.projected = self.rotated.T @ (self.s.sqrt() * (self.y - self.y_mean))

    def solve(self, alpha: float) -> tuple[Tensor, Tensor]:
        """ξ [d, classes] and b [classes]."""
        weight = self.vectors @ (self.projected / (self.values + alpha)[:, None])
        return weight, self.y_mean - self.x_mean @ weight

    def left_out_errors(self, alpha: float) -> Tensor:
        """s_i ‖f_i − y_i‖² [n] of each image under the head fitted on all others: its residual over 1 − leverage."""
        weight, bias = self.solve(alpha)
        leverage = self.s / self.s.sum() + (self.rotated.square() / (self.values + alpha)).sum(1, keepdim=True)
        return (self.s * ((self.x @ weight + bias - self.y) / (1 - leverage)).square()).sum(1)


def _chosen_alpha(path: _RidgePath) -> float:
    errors = {float(alpha): path.left_out_errors(alpha) for alpha in ALPHAS}
    best = min(errors.values(), key=torch.sum)
    limit = best.mean() + best.std() / math.sqrt(len(best))
    return max(alpha for alpha, found in errors.items() if found.mean() <= limit)
