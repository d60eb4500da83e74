"""Measurements that every seed shares stand in the tables as if each seed had made them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from prunetransfer.analysis.comparisons import compare_scores, recovery_changes, retention_intervals
from prunetransfer.analysis.shared import with_seeds
from prunetransfer.analysis.verdicts import judge

SEEDS = [3, 0, 7]
JOBS = [  # score, prune_source, recovery, tuned_on, images of 200 that are wrong at each seed
    ("magnitude", None, "none", None, [40]),
    ("magnitude", None, "finetune", "digits", [30, 35, 20]),
    ("diagonal", "digits", "none", None, [60, 90, 70]),
]


@pytest.fixture
def measured() -> pd.DataFrame:
    """Outcomes as the jobs leave them: those of the shared mask for the first seed alone."""
    rows = []
    for score, source, recovery, tuned_on, mistakes in JOBS:
        for seed, wrong in zip(SEEDS, mistakes, strict=False):
            about = {"score": score, "prune_source": source, "recovery": recovery, "method": recovery}
            about |= {"tuned_on": tuned_on, "seed": seed}
            correct = {"dense": np.ones(200, dtype=bool), "correct": np.arange(200) >= wrong}
            rows.append(about | correct)
    fixed = {"study": "mini", "backbone": "net", "sparsity": 0.5, "target": "glyphs", "readout": "zero_shot"}
    fixed |= {"mask": "global", "own_sources": None, "role": "transfer"}
    return pd.DataFrame(rows).assign(**fixed)


def test_a_shared_mask_has_a_row_a_seed_and_the_others_stay(measured):
    frame = with_seeds(measured, SEEDS)
    counted = frame.groupby(["score", "recovery", "seed"]).size()
    assert len(frame) == 9 and (counted == 1).all() and len(counted) == 9 and frame["seed"].dtype == np.int64
    shared = frame[(frame["score"] == "magnitude") & (frame["recovery"] == "none")]
    assert all(np.array_equal(found, measured["correct"][0]) for found in shared["correct"])
    assert with_seeds(measured, SEEDS[:1]).equals(measured)


def test_masks_without_recoveries_are_repeated_by_their_source():
    masks = pd.DataFrame({"prune_source": [None, "digits"], "seed": [3, 3], "pruned": [1, 2]})
    assert with_seeds(masks, SEEDS).fillna("").to_dict("list") == {
        "prune_source": ["", "", "", "digits"],
        "seed": [3, 0, 7, 3],
        "pruned": [1, 1, 1, 2],
    }


def test_the_interval_of_a_shared_mask_is_that_of_one_measurement(measured):
    shared = measured[(measured["score"] == "magnitude") & (measured["recovery"] == "none")]
    once, everywhere = (retention_intervals(frame, 0.95) for frame in (shared, with_seeds(shared, SEEDS)))
    assert everywhere["seeds"].item() == 3
    for column in ("retention", "low", "high"):
        assert everywhere[column].item() == pytest.approx(once[column].item(), rel=1e-12)


def test_scores_and_recoveries_are_compared_within_every_seed(measured):
    frame = with_seeds(measured, SEEDS)
    found = compare_scores(frame, 0.95).set_index("role").loc["transfer"]
    assert (found["score"], found["other_score"], found["cases"]) == ("diagonal", "magnitude", 3)
    assert found["difference"] == pytest.approx(-np.mean([20, 50, 30]) / 200)
    of_one_seed = compare_scores(frame[frame["seed"] == 0], 0.95).iloc[0]
    assert found["high"] - found["low"] > 2 * (of_one_seed["high"] - of_one_seed["low"])  # diagonal's seeds differ
    changes = recovery_changes(frame, 0.95).dropna(subset="target").set_index("seed")["change"]
    assert changes.to_dict() == pytest.approx({3: 10 / 200, 0: 5 / 200, 7: 20 / 200})
    verdicts = judge(frame, tolerance=0.05, confidence=0.95).set_index(["score", "prediction"])["cases"]
    assert verdicts["magnitude", "P1"] == 3 and verdicts["magnitude", "P2"] == 3
