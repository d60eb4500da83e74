"""Patterns: which weights may go together, and what the masks of each are called.

A pattern is one function here, from scores to a mask; its name and a sparsity say which mask it is. Files and tables,
rules and wildcards find it by `PATTERNS`. NumPy only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from prunetransfer.pruning.masks import Mask, global_mask

Scores = Mapping[str, np.ndarray]


def decimal(number: float) -> str:
    """A float as it stands in file names, never 5e-05."""
    return format(Decimal(repr(number)), "f")


@dataclass(frozen=True)
class Pattern:
    """function: scores and sparsity → mask. names: a regular expression of what its masks are called and nothing else
    is; `read` and `write`: the sparsity of such a name, and back."""

    function: Callable[[Scores, float], Mask]
    names: str
    read: Callable[[str], float]
    write: Callable[[float], str]


PATTERNS: dict[str, Pattern] = {}


def pattern(
    names: str, read: Callable[[str], float] = float, write: Callable[[float], str] = decimal
) -> Callable[[Callable[[Scores, float], Mask]], Callable[[Scores, float], Mask]]:
    """Register a pattern under its function's name; see `Pattern`."""

    def register(function: Callable[[Scores, float], Mask]) -> Callable[[Scores, float], Mask]:
        PATTERNS[function.__name__] = Pattern(function, names, read, write)
        return function

    return register


@pattern(names=r"0\.\d+")
def unstructured(scores: Scores, sparsity: float) -> Mask:
    """Each weight alone: the round(sparsity · p) weights of lowest score go, as `global_mask` says. `0.5`."""
    return global_mask(scores, sparsity)


def read_name(mask: str) -> dict[str, Any]:
    """The key columns `pattern` and `sparsity` of a mask's name. Raises ValueError for a name that no pattern gives."""
    for name, known in PATTERNS.items():
        if re.fullmatch(known.names, mask):
            return {"pattern": name, "sparsity": known.read(mask)}
    raise ValueError(f"{mask!r} names no mask; the patterns are {', '.join(PATTERNS)}")


def mask_name(pattern: str, sparsity: float) -> str:
    """What the mask of a pattern is called at a sparsity in [0, 1)."""
    return PATTERNS[pattern].write(sparsity)


def any_name() -> str:
    """A regular expression of the names of all masks."""
    return "|".join(known.names for known in PATTERNS.values())


def make_mask(scores: Scores, pattern: str, sparsity: float) -> Mask:
    """name → bool array, True where a weight stays. Raises ValueError for what the pattern does not take."""
    return PATTERNS[pattern].function(scores, sparsity)
