"""Multinomial logistic regression, by L-BFGS along the principal axes of the features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from prunetransfer.heads import Head
from prunetransfer.heads.penalty import ALPHAS, class_weights, error_limit, largest_within_one_error, principal_axes

HELD_OUT = 5  # one image of five
CHUNK = 4096  # images whose outputs are held at a time
ROUNDS, STEPS = 20, 30
TOLERANCE = 1e-7  # nats an image: a step that gains less is the last one


def fit_logistic(features: Tensor, labels: Tensor, classes: int, alpha: float | None = None) -> Head:
    """Class-balanced multinomial logistic regression; the bias is not penalised.

    features [n, d] and labels int64 [n] on one device. Each image i weighs s_i = n / (classes · images of its class);
    the minimised loss is Σ_i s_i · cross-entropy_i + ½α‖ξ‖² (scikit-learn's LogisticRegression, C = 1/α,
    class_weight="balanced"). Where `alpha` is None it is chosen among every second of ALPHAS, from the largest down to
    where it does harm, by the cross-entropy of train images that are held out, a fifth of each class: the largest
    within one standard error of the least. Raises ValueError if a class has no image, or none can be held out.
    """
    class_weights(labels, classes)
    held_out = _held_out(labels)
    last = held_out.int().argsort(stable=True)
    path, kept = _LogisticPath(features[last], labels[last], classes), int((~held_out).sum())
    errors: dict[float, Tensor] = {}
    solutions: dict[float, Tensor] = {}
    solution = path.start()
    if alpha is None:
        if kept == len(labels):
            raise ValueError("logistic head: no class has a second image to hold out; give alpha a number")
        for tried in map(float, ALPHAS[::-2]):
            solution = solutions[tried] = path.solve(tried, solution, kept)
            errors[tried] = path.errors(solution, kept)
            if errors[tried].mean() > error_limit(errors):
                break
        alpha = largest_within_one_error(errors)
        solution = solutions[alpha]
    weight, bias = path.head(path.solve(alpha, solution, len(labels)))
    means = {alpha: error.mean().item() for alpha, error in errors.items()}
    return Head(weight.float(), bias.float(), float(alpha), "logistic", means)


class _LogisticPath:
    """Solutions [r + 1, classes] for any α, in coordinates where the features are centred and about uncorrelated.

    The rotation leaves the penalty as it is. The last row is the bias. float32: the loss alone is summed in float64.
    """

    def __init__(self, features: Tensor, labels: Tensor, classes: int):
        self.labels, self.classes = labels, classes
        self.mean = features.mean(0, dtype=torch.float64).to(features.dtype)
        centred = (features - self.mean).float()
        self.values, self.vectors = principal_axes(centred)
        self.x = centred @ self.vectors.float()

    def start(self) -> Tensor:
        return self.x.new_zeros(self.x.shape[1] + 1, self.classes)

    def solve(self, alpha: float, solution: Tensor, count: int) -> Tensor:
        """The minimum for the first `count` images, from another α's solution.

        Each axis is scaled by the curvature that it has at the start of a round, which spares most of the steps.
        """
        for _ in range(ROUNDS):
            solution, converged = self._round(alpha / count, solution, count)
            if converged:
                break
        return solution

    def _round(self, alpha: float, solution: Tensor, count: int) -> tuple[Tensor, bool]:
        """L-BFGS on the loss an image: its first step, at most 1 in the sum of its entries, would hardly move a sum."""
        x, labels = self.x[:count].split(CHUNK), self.labels[:count].split(CHUNK)
        s = (class_weights(self.labels[:count], self.classes) / count).float().split(CHUNK)
        penalty = torch.full_like(solution[:, :1], alpha)
        penalty[-1] = 0
        scale = (self._curvature(solution, count) + penalty).rsqrt()
        scaled = (solution / scale).requires_grad_()
        optimizer = torch.optim.LBFGS(
            [scaled],
            max_iter=STEPS,
            max_eval=100 * STEPS,  # never what ends a round
            tolerance_grad=0,
            tolerance_change=TOLERANCE,
            history_size=STEPS,
            line_search_fn="strong_wolfe",
        )

        def loss() -> float:
            optimizer.zero_grad()
            penalised = 0.5 * (penalty * (scaled * scale).square()).sum()
            penalised.backward()
            total = penalised.double()
            for features, classes, weights in zip(x, labels, s, strict=True):
                outputs = _outputs(features, scaled * scale)
                of_part = weights @ F.cross_entropy(outputs, classes, reduction="none")
                of_part.backward()
                total += of_part.double()
            return total.item()

        optimizer.step(loss)
        return scaled.detach() * scale, optimizer.state[scaled]["n_iter"] < STEPS

    def _curvature(self, solution: Tensor, count: int) -> Tensor:
        """About the Hessian's diagonal: variance of each axis times p (1 − p), mean over images, classes. [r + 1, 1]"""
        squares = [_outputs(part, solution).softmax(1).square().sum(1) for part in self.x[:count].split(CHUNK)]
        mean = (1 - torch.cat(squares)).mean().clamp(min=1e-3) / self.classes
        return mean * torch.cat([self.values / len(self.x), self.values.new_ones(1)])[:, None].float()

    def errors(self, solution: Tensor, start: int) -> Tensor:
        """Weighted cross-entropy of each image from `start` on [n − start]."""
        s = class_weights(self.labels, self.classes)[start:]
        return s * F.cross_entropy(_outputs(self.x[start:], solution), self.labels[start:], reduction="none")

    def head(self, solution: Tensor) -> tuple[Tensor, Tensor]:
        """ξ [d, classes] and b [classes] on the features as they came."""
        weight = self.vectors @ solution[:-1].double()
        return weight, solution[-1].double() - self.mean.double() @ weight


def _outputs(features: Tensor, solution: Tensor) -> Tensor:
    return torch.addmm(solution[-1], features, solution[:-1])


def _held_out(labels: Tensor) -> Tensor:
    """Every fifth image of each class in a fixed random order, and one of each class of two to four: bool [n]."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)).to(labels.device)
    order = order[labels[order].argsort(stable=True)]
    counts = labels.bincount()
    place = torch.arange(len(labels), device=labels.device) - (counts.cumsum(0) - counts)[labels[order]]
    held_out = torch.zeros_like(labels, dtype=torch.bool)
    held_out[order] = place % HELD_OUT == 1
    return held_out
