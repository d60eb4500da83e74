"""The mask of any pattern. NumPy only."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from prunetransfer.pruning.masks import Mask, check_sparsity
from prunetransfer.pruning.names import registered_name
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.runtime.messages import no_such
from prunetransfer.settings.registry import Entry, find, keywords, names
from prunetransfer.structure.units import Units, summed


def pattern_entry(pattern: str, plugin: Mapping[str, str] | None = None) -> Entry:
    """The registered function of a pattern. Raises ValueError for a name that no pattern has."""
    name = registered_name(pattern)
    if not plugin and name not in (known := names("masks")):
        raise ValueError(f"pattern {pattern!r}: {no_such('pattern', pattern, known)}")
    return find("masks", name, plugin)


def ranked(scores: Mapping[str, np.ndarray], units: Units | None = None) -> Ranking:
    """The ranking of single weights' scores; that of a unit is the sum over its weights."""
    return Ranking(scores, units, None if units is None else summed(units, scores))


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
