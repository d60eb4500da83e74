"""Agreement of two scores, by numbers that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from prunetransfer.analysis.convergence import agreement

NAMED = {"mask": "global", "sparsity": 0.5}
HALF = NAMED | {"made": {}}
REFERENCE = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([6.0, 7.0])}


def test_a_score_agrees_with_itself_and_with_what_orders_alike():
    for scores in (REFERENCE, {name: np.sqrt(values) for name, values in REFERENCE.items()}):
        (row,) = agreement(scores, REFERENCE, [HALF])
        assert row == NAMED | {"rank_correlation": pytest.approx(1), "overlap": 1}


def test_overlap_is_the_share_of_kept_weights_that_both_keep():
    # At 0.5 the reference keeps 4, 5, 6 and 7, and this 3, 4, 5 and 7.
    swapped = {"a": REFERENCE["a"], "b": np.array([0.5, 7.0])}
    rows = agreement(swapped, REFERENCE, [HALF | {"sparsity": 0.0}, HALF])
    assert [row["overlap"] for row in rows] == [1, 0.75]
    assert rows[0]["rank_correlation"] == rows[1]["rank_correlation"] == pytest.approx(1 - 6 * 30 / (8 * 63))


def test_reversed_scores_have_correlation_minus_one():
    (row,) = agreement({name: 10 - values for name, values in REFERENCE.items()}, REFERENCE, [HALF])
    assert row["rank_correlation"] == pytest.approx(-1) and row["overlap"] == 0


def test_scores_of_different_weights_are_refused():
    with pytest.raises(ValueError, match="different weights"):
        agreement({"a": REFERENCE["a"]}, REFERENCE, [HALF])
