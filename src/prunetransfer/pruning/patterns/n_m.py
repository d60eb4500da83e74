"""So many weights of each few that lie side by side: what hardware with sparse matrix units can skip."""

from __future__ import annotations

import warnings
from typing import Annotated

import numpy as np

from prunetransfer.pruning.masks import Mask, check_scores
from prunetransfer.pruning.names import N_OF_M, own_sparsity
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.settings.registry import pattern
from prunetransfer.settings.types import END, says

NOfM = Annotated[str, says(n_below_m=True, pattern=rf"^{N_OF_M}{END}", allowed="two numbers n:m, n below m, as in 2:4")]


@pattern(name="n:m")
def n_m(ranking: Ranking, sparsity: float, *, pattern: NOfM) -> Mask:
    """At most n of every m weights side by side stay, those of highest score: along the inputs of a linear layer, and
    along the input channels of a convolution, for each position of the kernel.

    sparsity: that of the pattern, 1 − n/m. A layer whose inputs are no multiple of m stays dense; a warning names it.
    Raises ValueError for another sparsity.
    """
    if abs(sparsity - own_sparsity(pattern)) > 1e-6:
        raise ValueError(f"sparsity {sparsity}: a {pattern} mask has {own_sparsity(pattern)}, and no other")
    check_scores(ranking.scores)
    n, m = map(int, pattern.split(":"))
    dense = [name for name, scores in ranking.scores.items() if scores.shape[1] % m]
    if dense:
        warnings.warn(f"dense, as their inputs are no multiple of {m}: {', '.join(dense)}", stacklevel=2)
    return {
        name: np.ones(scores.shape, dtype=bool) if name in dense else _highest(scores, n, m)
        for name, scores in ranking.scores.items()
    }


def _highest(scores: np.ndarray, n: int, m: int) -> np.ndarray:
    """True for the n highest of every m along axis 1; of equal ones the later stay."""
    last = np.moveaxis(scores, 1, -1)
    groups = last.reshape(*last.shape[:-1], -1, m)
    kept = groups.argsort(axis=-1, kind="stable").argsort(axis=-1) >= m - n
    return np.ascontiguousarray(np.moveaxis(kept.reshape(last.shape), -1, 1))
