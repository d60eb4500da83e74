"""Each weight alone."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from prunetransfer.pruning.allocation import RULES
from prunetransfer.pruning.masks import Mask, check_scores, lowest_mask
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.settings.registry import pattern
from prunetransfer.settings.types import ShareOfTheRest

Allocation = Annotated[
    Literal["global", "uniform", "erk", "lamp", "even"],
    Field(
        description="How sparsity is spent among layers. `global`: one threshold for the whole backbone; `uniform`: "
        "every layer alike; `erk`: small layers stay denser, by the sum over the product of a layer's sides; `lamp`: a "
        "score counts relative to the larger ones of its layer; `even`: every layer loses the same sum of scores."
    ),
]
LeastDensity = Annotated[
    ShareOfTheRest,
    Field(description="Share of each layer's weights that stays at least; 0 lets a mask empty a layer."),
]


@pattern(steps=True, refinable=True)
def unstructured(
    ranking: Ranking, sparsity: float, *, allocation: Allocation = "global", min_layer_density: LeastDensity = 0.0
) -> Mask:
    """Each weight alone: exactly round(q·p) weights go, in each layer those of lowest score.

    Among equal ones the earlier goes first, whatever its layer, so the masks of growing sparsities nest. Raises
    ValueError where the layers may not lose so many.
    """
    check_scores(ranking.scores)
    compared = {name: RULES[allocation](scores) for name, scores in ranking.scores.items()}
    stays = {name: _best(values, min_layer_density) for name, values in compared.items()}
    return lowest_mask(compared, sparsity, stays)


def _best(values: np.ndarray, share: float) -> np.ndarray:
    """True for the share of the weights that a layer never loses, those of the highest values."""
    order, best = values.ravel().argsort(kind="stable"), np.zeros(values.size, dtype=bool)
    best[order[values.size - math.ceil(share * values.size) :]] = True
    return best.reshape(values.shape)
