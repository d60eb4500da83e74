"""The pruning scores: one function each, one number ≥ 0 a prunable weight, its predicted loss increase when removed.

A new score is one function here. The module imports no torch, so that the workflow can ask what a score needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    Weights = Mapping[str, Tensor]
    Curvature = Mapping[str, Tensor]
    Scores = dict[str, Tensor]


@dataclass(frozen=True)
class Score:
    """A score's function and the module of `prunetransfer.criteria` it reads; None: it is data-free."""

    function: Callable[[Weights, Curvature], Scores]
    curvature: str | None


SCORES: dict[str, Score] = {}


def pruning_score(curvature: str | None) -> Callable:
    """Register a score under its function's name."""

    def register(function: Callable[[Weights, Curvature], Scores]) -> Callable[[Weights, Curvature], Scores]:
        SCORES[function.__name__] = Score(function, curvature)
        return function

    return register


@pruning_score(curvature=None)
def magnitude(weights: Weights, curvature: Curvature) -> Scores:
    """½ w_j²: every weight matters as its size does (Janowsky 1989; Han et al. 2015).

    weights: name → tensor of the layer's shape; returns the same, ≥ 0. `curvature` is empty.

    >>> import torch
    >>> magnitude({"w": torch.tensor([1.0, -2.0])}, {})
    {'w': tensor([0.5000, 2.0000])}
    """
    return {name: 0.5 * w.square() for name, w in weights.items()}


@pruning_score(curvature="diagonal")
def diagonal(weights: Weights, curvature: Curvature) -> Scores:
    """½ w_j² F_jj: the loss increase when each weight alone goes, curvature taken as diagonal.

    Optimal Brain Damage (LeCun, Denker, Solla 1989). curvature: name → F_jj in the layer's shape.

    >>> import torch
    >>> diagonal({"w": torch.tensor([1.0, -2.0])}, {"w": torch.tensor([4.0, 0.5])})
    {'w': tensor([2., 1.])}
    """
    return {name: 0.5 * w.square() * curvature[name] for name, w in weights.items()}


@pruning_score(curvature="block")
def block(weights: Weights, curvature: Curvature) -> Scores:
    """½ w_j² / [(F_b + λI)⁻¹]_jj: the increase when each weight goes and the rest of its block may make up for it.

    Optimal Brain Surgeon (Hassibi, Stork 1992) in blocks (WoodFisher, Singh & Alistarh 2020; oBERT, Kurtic et al.
    2022). curvature: name → [(F_b + λI)⁻¹]_jj in the layer's shape.

    >>> import torch
    >>> block({"w": torch.tensor([1.0, -2.0])}, {"w": torch.tensor([0.25, 2.0])})
    {'w': tensor([2., 1.])}
    """
    return {name: 0.5 * w.square() / curvature[name] for name, w in weights.items()}
