"""How many samples are enough? A score on few images beside the same score on most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from prunetransfer.pruning.making import make_mask
from prunetransfer.pruning.ranking import Ranking

Scores = Mapping[str, np.ndarray]


def agreement(scores: Scores, reference: Scores, masks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a mask: rank_correlation over all weights (Spearman), overlap of the masks.

    masks: of each its key columns `mask` and `sparsity`, and `made`, the settings of its pattern.
    Overlap is the share of the weights that the reference keeps which `scores` keep too: 1 if the masks agree, 1 minus
    the sparsity by chance. Raises ValueError unless both score the same weights.
    """
    if {name: s.shape for name, s in scores.items()} != {name: s.shape for name, s in reference.items()}:
        raise ValueError("scores of different weights cannot be compared")
    flat, flat_reference = (np.concatenate([s.ravel() for s in both.values()]) for both in (scores, reference))
    correlation = float(spearmanr(flat, flat_reference).statistic)
    rows = []
    for mask in masks:
        named = {"mask": mask["mask"], "sparsity": mask["sparsity"]}
        kept, kept_reference = (
            make_mask(Ranking(both), mask["sparsity"], **mask["made"]) for both in (scores, reference)
        )
        shared = sum(np.count_nonzero(kept[name] & keep) for name, keep in kept_reference.items())
        total = sum(np.count_nonzero(keep) for keep in kept_reference.values())
        rows.append({**named, "rank_correlation": correlation, "overlap": shared / total})
    return rows
