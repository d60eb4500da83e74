"""The mask of any pattern. NumPy only."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prunetransfer.pruning.masks import Mask, check_sparsity
from prunetransfer.pruning.names import registered_name
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.runtime.messages import no_such
from prunetransfer.settings.registry import Entry, find, keywords, names
from prunetransfer.structure.units import Units, removed, summed


def pattern_entry(pattern: str, plugin: Mapping[str, str] | None = None) -> Entry:
    """The registered function of a pattern. Raises ValueError for a name that no pattern has."""
    name = registered_name(pattern)
    if not plugin and name not in (known := names("masks")):
        raise ValueError(f"pattern {pattern!r}: {no_such('pattern', pattern, known)}")
    return find("masks", name, plugin)


def ranked(scores: Mapping[str, np.ndarray], units: Units | None = None) -> Ranking:
    """The ranking of single weights' scores; that of a unit is the sum over its weights."""
    return Ranking(scores, units, None if units is None else summed(units, scores))


def make_in_turn(rankings: Sequence[Ranking], sparsity: float, **pattern: Any) -> Mask:
    """The mask of several rankings in turn, each of which prunes on among the weights that those before it have left.

    After ranking k of n the sparsity is 1 − (1 − q)^(k/n), so that each takes the same share of what is left; the masks
    nest. pattern: as of `make_mask`; with several rankings one that has masks of any sparsity. Raises what `make_mask`
    raises.

    >>> first, second = (Ranking({"layer": np.array([scores])}) for scores in ([1.0, 2, 3, 4], [4.0, 3, 1, 2]))
    >>> make_in_turn([first, second], 0.5)
    {'layer': array([[False,  True, False,  True]])}
    """
    count = len(rankings)
    first, *others = [1 - (1 - sparsity) ** (k / count) for k in range(1, count)] + [sparsity]
    mask = make_mask(rankings[0], first, **pattern)
    for ranking, reached in zip(rankings[1:], others, strict=True):
        found = make_mask(_among(ranking, mask), reached, **pattern)
        # Of whole units the nearest sparsity may be one that a part of the units gone would do for.
        mask = {name: keep & found[name] for name, keep in mask.items()}
    return mask


def _among(ranking: Ranking, mask: Mask) -> Ranking:
    """The ranking in which what the mask prunes has the lowest scores, below all that is left."""
    scores = {name: _lowered(values, mask[name]) for name, values in ranking.scores.items()}
    if ranking.units is None or ranking.unit_scores is None:
        return Ranking(scores)
    gone = removed(ranking.units, mask)
    own = [_lowered(values, ~away) for values, away in zip(ranking.unit_scores, gone, strict=True)]
    return Ranking(scores, ranking.units, own)


def _lowered(values: np.ndarray, left: np.ndarray) -> np.ndarray:
    """0 where nothing is left, and above it where something is."""
    above = np.where(values == 0, np.finfo(np.float64).tiny, values.astype(np.float64))
    return np.where(left, above, 0.0)


def make_mask(
    ranking: Ranking,
    sparsity: float,
    pattern: str = "unstructured",
    plugin: Mapping[str, str] | None = None,
    **settings: Any,
) -> Mask:
    """name → bool array, True where a weight stays. settings: those of the pattern.

    Raises ValueError for what the pattern does not take. A warning names the layers of which nothing stays.

    >>> make_mask(Ranking({"first": np.array([[3.0, 1.0]]), "second": np.array([[2.0, 0.0]])}), 0.5, "1:2")
    {'first': array([[ True, False]]), 'second': array([[ True, False]])}
    """
    check_sparsity(sparsity)
    function = pattern_entry(pattern, plugin).function
    own = {"pattern": pattern} if "pattern" in {p.name for p in keywords(function)} else {}
    mask = function(ranking, sparsity, **own, **settings)
    if emptied := [name for name, keep in mask.items() if not keep.any()]:
        warnings.warn(f"nothing stays of {', '.join(emptied)}", stacklevel=2)
    return mask
