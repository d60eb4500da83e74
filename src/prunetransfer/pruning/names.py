"""What masks are called in file names, the sparsity after the name of their entry of `masks`; and n:m patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

# The entry of a study that names none; its masks are called by their sparsity alone.
GLOBAL = "global"
SPARSITY = r"0\.\d+"
N_OF_M = r"([1-9]\d*):([1-9]\d*)"


def decimal(number: float) -> str:
    """A float as it stands in file names, never 5e-05."""
    return format(Decimal(repr(number)), "f")


def mask_name(entry: str, sparsity: float) -> str:
    """What the mask of an entry of `masks` is called at a sparsity in [0, 1).

    >>> mask_name("global", 0.5), mask_name("erk", 0.5)
    ('0.5', 'erk-0.5')
    """
    return decimal(sparsity) if entry == GLOBAL else f"{entry}-{decimal(sparsity)}"


def read_name(name: str) -> dict[str, Any]:
    """The key columns `mask`, the entry, and `sparsity` of a mask's name. Raises ValueError for what names no mask.

    >>> read_name("erk-0.5")
    {'mask': 'erk', 'sparsity': 0.5}
    """
    found = re.fullmatch(rf"(?:([^/@]+)-)?({SPARSITY})", name)
    if not found:
        raise ValueError(f"{name!r} names no mask: that is a sparsity, as 0.5, after the name of its entry, as erk-0.5")
    return {"mask": found[1] or GLOBAL, "sparsity": float(found[2])}


def any_name(entries: Iterable[str]) -> str:
    """A regular expression of the names of all masks of these entries."""
    others = "|".join(re.escape(entry) for entry in entries if entry != GLOBAL)
    return rf"(?:(?:{others})-)?{SPARSITY}" if others else SPARSITY


def registered_name(pattern: str) -> str:
    """What the function of a pattern is registered as: `n:m` is that of `2:4`."""
    return "n:m" if re.fullmatch(N_OF_M, pattern) else pattern


def is_n_of_m(pattern: object) -> bool:
    """Is it n:m, n below m?"""
    found = re.fullmatch(N_OF_M, pattern) if isinstance(pattern, str) else None
    return bool(found) and int(found[1]) < int(found[2])


def own_sparsity(pattern: str) -> float:
    """The share of weights that go in a layer that has the pattern n:m. Raises ValueError unless n is below m.

    >>> own_sparsity("2:4")
    0.5
    """
    if not is_n_of_m(pattern):
        raise ValueError(f"pattern {pattern!r}: two numbers n:m, n below m, as in 2:4")
    n, m = map(int, pattern.split(":"))
    return round(1 - n / m, 6)
