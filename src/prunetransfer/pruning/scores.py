"""The pruning scores: one function each, one number ≥ 0 a prunable weight, its predicted loss increase when removed.

A new score is one function here. It states the structure of the curvature that it reads: whether data are read, and the
settings of how.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BaseModel, Field

from prunetransfer.settings.registry import score
from prunetransfer.settings.types import (
    MATRICES,
    Auto,
    BlockSize,
    Draws,
    Loss,
    Positive,
    PositiveOrNull,
    Samples,
    Sampling,
    Several,
    ShareOfTheRest,
    left_out,
    says,
)

if TYPE_CHECKING:
    from torch import Tensor

    Weights = Mapping[str, Tensor]
    Curvature = Mapping[str, Tensor]
    Scores = dict[str, Tensor]


class Diagonal(BaseModel, json_schema_extra={"renamed": {"curvature": "matrix"}}):
    """The diagonal of a matrix of second derivatives, of the loss on some source images."""

    NAME: ClassVar = "diagonal"

    loss: Loss = "squared"
    matrix: Annotated[Literal["empirical", "fisher", "ggn"], Field(description=f"{MATRICES}.")] = "empirical"
    draws: Annotated[
        Draws,
        Field(description="Labels drawn an image. Left out: 1 for `fisher`, and `ggn` is exact."),
        left_out("as empirical curvature draws nothing", matrix="empirical"),
    ] = None
    samples: Samples = 256
    sampling: Sampling = "balanced"


class Block(Diagonal):
    """The blocks of such a matrix along its diagonal, inverted."""

    NAME: ClassVar = "block"

    block_size: BlockSize = 64
    damping: Annotated[
        Positive | Auto,
        Field(
            description="λ, added to the diagonal of each block; `auto` chooses it on train images that the score "
            "does not see."
        ),
        says(allowed="auto or a number above 0"),
    ] = 1e-4
    damping_relative: Annotated[
        bool,
        Field(description="Whether damping is a multiple of each layer's mean diagonal; otherwise it is absolute."),
    ] = False
    damping_sparsities: Annotated[
        Several[ShareOfTheRest],
        Field(description="Sparsities over which `damping: auto` compares the loss of the pruned backbone."),
        says(default_from="sparsities"),
    ] = None
    memory_budget: Annotated[
        PositiveOrNull,
        Field(
            description="MB that block curvature may fill, as 4 · weights · B bytes; more takes further passes over "
            "the images and gives the same scores. `null` is half of what is free on the GPU, or a quarter on the CPU."
        ),
    ] = None


@score(structure=None)
def magnitude(weights: Weights, curvature: Curvature) -> Scores:
    """½ w_j²: every weight matters as its size does (Janowsky 1989; Han et al. 2015).

    weights: name → tensor of the layer's shape; returns the same, ≥ 0. `curvature` is empty.

    >>> import torch
    >>> magnitude({"w": torch.tensor([1.0, -2.0])}, {})
    {'w': tensor([0.5000, 2.0000])}
    """
    return {name: 0.5 * w.square() for name, w in weights.items()}


@score(structure=Diagonal)
def diagonal(weights: Weights, curvature: Curvature) -> Scores:
    """½ w_j² F_jj: the loss increase when each weight alone goes, curvature taken as diagonal.

    Optimal Brain Damage (LeCun, Denker, Solla 1989). curvature: name → F_jj in the layer's shape.

    >>> import torch
    >>> diagonal({"w": torch.tensor([1.0, -2.0])}, {"w": torch.tensor([4.0, 0.5])})
    {'w': tensor([2., 1.])}
    """
    return {name: 0.5 * w.square() * curvature[name] for name, w in weights.items()}


@score(structure=Diagonal)
def damped(
    weights: Weights,
    curvature: Curvature,
    *,
    relative: Annotated[
        Positive, Field(description="λ, added to every F_jj, as a multiple of the mean F_jj over the whole backbone.")
    ] = 0.1,
) -> Scores:
    """½ w_j² (F_jj + λ): diagonal curvature with the same damping for all weights, on the scale of the backbone's own.

    A weight without curvature on the source is ranked by its magnitude, and no λ has to be searched for where another
    backbone or loss has curvature of another scale. With an absolute λ it is CAP's score with blocks of one weight
    (Kuznedelev et al. 2023). curvature: as of `diagonal`.

    >>> import torch
    >>> damped({"w": torch.tensor([1.0, -2.0, 3.0])}, {"w": torch.tensor([6.0, 0.0, 0.0])}, relative=0.5)
    {'w': tensor([3.5000, 2.0000, 4.5000])}
    """
    mean = sum(f.double().sum() for f in curvature.values()) / sum(f.numel() for f in curvature.values())
    return {
        name: (0.5 * w.double().square() * (curvature[name].double() + relative * mean)).to(w.dtype)
        for name, w in weights.items()
    }


@score(structure=Block)
def block(weights: Weights, curvature: Curvature) -> Scores:
    """½ w_j² / [(F_b + λI)⁻¹]_jj: the increase when each weight goes and the rest of its block may make up for it.

    Optimal Brain Surgeon (Hassibi, Stork 1992) in blocks (WoodFisher, Singh & Alistarh 2020; oBERT, Kurtic et al.
    2022). curvature: name → [(F_b + λI)⁻¹]_jj in the layer's shape.

    >>> import torch
    >>> block({"w": torch.tensor([1.0, -2.0])}, {"w": torch.tensor([0.25, 2.0])})
    {'w': tensor([2., 1.])}
    """
    return {name: 0.5 * w.square() / curvature[name] for name, w in weights.items()}
