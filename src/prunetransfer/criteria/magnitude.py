"""Every weight matters as its size does."""

from __future__ import annotations

from prunetransfer.criteria.source import Scores, Source
from prunetransfer.settings.registry import score


@score(sees=None, quadratic=True)
def magnitude(source: Source) -> Scores:
    """½ w_j²: every weight matters as its size does (Janowsky 1989; Han et al. 2015)."""
    return {name: 0.5 * w.square() for name, w in source.weights().items()}
