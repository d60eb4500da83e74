"""How sparsity is spent among layers: each rule puts a layer's scores on a scale on which all layers compare.

Within a layer the order stays, so a rule decides only how many weights of each layer go. NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Scores of one layer, in its weight's shape → what is compared, in the same order and shape.
Rule = Callable[[np.ndarray], np.ndarray]


def same_scale(scores: np.ndarray) -> np.ndarray:
    """The scores themselves: one threshold for the whole backbone."""
    return scores


def uniform(scores: np.ndarray) -> np.ndarray:
    """The share of the layer that goes before the weight: every layer has the same sparsity."""
    return _rank(scores) / scores.size


def erk(scores: np.ndarray) -> np.ndarray:
    """A layer keeps a share of its weights in proportion to the sum over the product of its sides, at most all of them.

    Small layers stay denser. Evci et al. 2020 (RigL, arXiv 1911.11134).
    """
    return sum(scores.shape) / scores.size / (1 - _rank(scores) / scores.size)


def lamp(scores: np.ndarray) -> np.ndarray:
    """A score over the sum of it and all larger ones of its layer. The largest of a layer comes to 1, so no layer is
    emptied while another has two weights left.

    Lee et al. 2021 (arXiv 2010.07611), there of w².
    """
    order, ranked = _ordered(scores)
    tails = np.cumsum(ranked[::-1])[::-1]
    return _in_place(np.divide(ranked, tails, out=np.zeros_like(ranked), where=tails > 0), order, scores.shape)


def even(scores: np.ndarray) -> np.ndarray:
    """The sum of the scores up to this one: every layer loses the same in all, by the score's own estimate."""
    order, ranked = _ordered(scores)
    return _in_place(np.cumsum(ranked), order, scores.shape)


RULES: dict[str, Rule] = {"global": same_scale, "uniform": uniform, "erk": erk, "lamp": lamp, "even": even}


def _ordered(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of the scores in growing order, the earlier of equal ones first, and the scores in that order, float64."""
    flat = scores.ravel().astype(np.float64)
    order = flat.argsort(kind="stable")
    return order, flat[order]


def _rank(scores: np.ndarray) -> np.ndarray:
    order, _ = _ordered(scores)
    return _in_place(np.arange(scores.size, dtype=np.float64), order, scores.shape)


def _in_place(ranked: np.ndarray, order: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    values = np.empty_like(ranked)
    values[order] = ranked
    return values.reshape(shape)
