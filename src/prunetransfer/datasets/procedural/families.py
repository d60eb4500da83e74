"""The families of procedural images: what one is, and the registry of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
Family = Callable[[Rng, int], np.ndarray]  # draws one image: uint8 [size, size, 3]
FAMILIES: dict[str, Family] = {}


def family(function: Family) -> Family:
    """Make `function` a family of its name."""
    FAMILIES[function.__name__] = function
    return function
