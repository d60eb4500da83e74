"""What a mask is made from: scores, and, where whole units go, which these are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prunetransfer.structure.units import Units


@dataclass(frozen=True)
class Ranking:
    """scores: name → score of each prunable weight, the lowest goes first. For a pattern that takes whole units out
    also the units, and unit_scores: an array for each of their families."""

    scores: Mapping[str, np.ndarray]
    units: Units | None = None
    unit_scores: Sequence[np.ndarray] | None = None
