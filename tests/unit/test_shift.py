"""Retention under a condition against that without it, beside a plain computation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from prunetransfer.analysis.comparisons import compare_scores, mean_retentions, recovery_changes, retention_intervals
from prunetransfer.analysis.dense import dense_table
from prunetransfer.analysis.outcomes import read_outcomes
from prunetransfer.analysis.paired import Cell, holm, retention_difference
from prunetransfer.analysis.roles import with_roles
from prunetransfer.analysis.shift import on_same_images, shift_table
from prunetransfer.analysis.verdicts import judge
from prunetransfer.storage.schemas.accuracy import PREDICTIONS
from prunetransfer.storage.schemas.shift import SHIFT
from prunetransfer.storage.tables import read_table, write_table

IMAGES = 120
LABELS = np.arange(IMAGES) % 3
OTHER_LABELS = np.roll(LABELS, 1)
TARGETS = ["digits", "glyphs", "foggy-digits", "foggy-glyphs", "noisy-glyphs", "coarse-glyphs"]
SHIFTS = {
    "foggy-digits": {"target": "digits", "condition": "fog 3", "severity": 3.0},
    "foggy-glyphs": {"target": "glyphs", "condition": "fog 3", "severity": 3.0},
    "noisy-glyphs": {"target": "glyphs", "condition": "noise 1", "severity": 1.0},
    "coarse-glyphs": {"target": "glyphs", "condition": "resolution 8", "severity": None},
}
OWN = {name: ["digits"] if "digits" in name else [] for name in TARGETS}
OF_STUDY = {"study": "mini", "seeds": [0, 1], "methods": {"none": "none"}, "own_sources": OWN, "shifted": list(SHIFTS)}
WRONG = {"digits": 4, "glyphs": 6, "foggy-digits": 30, "foggy-glyphs": 40, "noisy-glyphs": 20, "coarse-glyphs": 50}


@pytest.fixture
def files(tmp_path):
    """Answers of two scores at two seeds: the dense backbone is wrong on WRONG images, pruning adds some at random."""
    rng, paths = np.random.default_rng(0), []
    for criterion, seeds in (("magnitude", [0]), ("diagonal@digits", [0, 1])):
        for seed in seeds:
            rows = []
            for target in TARGETS:
                labels = OTHER_LABELS if target == "coarse-glyphs" else LABELS
                dense = np.where(np.arange(IMAGES) < WRONG[target], (labels + 1) % 3, labels)
                plain = {"target": target, "mask": None, "sparsity": None}
                rows += [plain | {"readout": "label", "predicted": labels.tolist()}]
                rows += [plain | {"readout": "zero_shot", "predicted": dense.tolist()}]
                for sparsity in (0.3, 0.6):
                    spoiled = rng.random(IMAGES) < sparsity * (0.8 if "foggy" in target else 0.4)
                    pruned = np.where(spoiled, (labels + 1) % 3, dense).tolist()
                    mask = {"mask": "global", "sparsity": sparsity}
                    rows.append({"target": target, **mask, "readout": "zero_shot", "predicted": pruned})
            job = {"backbone": "net", "criterion": criterion, "recovery": "none", "seed": str(seed)}
            paths.append(tmp_path / f"{len(paths)}.parquet")
            write_table(paths[-1], pd.DataFrame(rows), PREDICTIONS, {"wildcards": job})
    return paths


@pytest.fixture
def outcomes(files):
    return read_outcomes(files, dense_table(files[:1], "mini", 0.95), **OF_STUDY)


def test_only_targets_with_the_same_images_in_the_same_order_are_compared(files):
    assert on_same_images(SHIFTS, files[:1]).keys() == {"foggy-digits", "foggy-glyphs", "noisy-glyphs"}
    alone = SHIFTS | {"noisy-glyphs": SHIFTS["noisy-glyphs"] | {"target": None}}
    assert on_same_images(alone, files[:1]).keys() == {"foggy-digits", "foggy-glyphs"}


def test_the_table_is_what_a_plain_computation_finds(files, outcomes, tmp_path):
    found = shift_table(outcomes, on_same_images(SHIFTS, files[:1]), 0.95)
    write_table(tmp_path / "shift.parquet", found, SHIFT, {})
    found = read_table(tmp_path / "shift.parquet", SHIFT)
    # 2 scores × 2 sparsities × (3 pairs, and the means: fog on the source, fog and noise on the unseen task)
    assert len(found) == 2 * 2 * (3 + 3)
    for row in found.itertuples():
        mine = outcomes[(outcomes["score"] == row.score) & (outcomes["sparsity"] == row.sparsity)]
        right = mine.set_index(["target", "seed"])[["dense", "correct"]]
        shifted = row.shifted_target
        if pd.isna(row.target):
            shifted = {("fog 3", "source"): "foggy-digits", ("fog 3", "transfer"): "foggy-glyphs"}.get(
                (row.condition, row.role), "noisy-glyphs"
            )
        clean = SHIFTS[shifted]["target"]
        assert row.role == ("source" if clean == "digits" else "transfer")
        assert row.target == clean or pd.isna(row.target)
        before = {s: (right.loc[(clean, s), "dense"], right.loc[(clean, s), "correct"]) for s in (0, 1)}
        after = {s: (right.loc[(shifted, s), "dense"], right.loc[(shifted, s), "correct"]) for s in (0, 1)}
        assert row.cases == 2
        assert row.dense_top1 == pytest.approx(1 - WRONG[clean] / IMAGES)
        assert row.shifted_dense_top1 == pytest.approx(1 - WRONG[shifted] / IMAGES)
        assert row.top1 == pytest.approx(np.mean([pruned.mean() for _, pruned in before.values()]))
        assert row.shifted_top1 == pytest.approx(np.mean([pruned.mean() for _, pruned in after.values()]))
        kept, shifted_kept = (np.mean([p.mean() / d.mean() for d, p in of.values()]) for of in (before, after))
        assert (row.retention, row.shifted_retention) == pytest.approx((kept, shifted_kept))
        assert row.change == pytest.approx(shifted_kept - kept)
        pairs = [(Cell("t", s, *after[s]), Cell("t", s, *before[s])) for s in (0, 1)]
        expected = retention_difference(pairs, 0.95)
        assert (row.low, row.high, row.p_value) == pytest.approx((expected.low, expected.high, expected.p_value))
    single, mean = found[found["target"].notna()], found[found["target"].isna()]
    for family in (single, mean):
        assert family["p_holm"].tolist() == pytest.approx(holm(family["p_value"]).tolist())
    lower = (found["p_holm"] <= 0.05) & (found["change"] < 0)
    assert found["verdict"].tolist() == np.where(lower, "lower", "equal").tolist() and 0 < lower.sum() < len(found)
    assert set(found["severity"]) == {3.0, 1.0}


def test_a_mean_joins_the_targets_of_one_role(files):
    """Of foggy glyphs twice, under two names: the images are the same, so the interval does not shrink."""
    outcomes = read_outcomes(files, dense_table(files[:1], "mini", 0.95), **OF_STUDY)
    twin = outcomes[outcomes["target"] == "foggy-glyphs"].assign(target="twin")
    both = pd.concat([outcomes, twin], ignore_index=True)
    shifts = {name: SHIFTS[name] for name in ("foggy-digits", "foggy-glyphs")}
    one = shift_table(outcomes, shifts, 0.95).query("target.isna() and role == 'transfer'")
    two = shift_table(both, shifts | {"twin": SHIFTS["foggy-glyphs"]}, 0.95)
    joined = two.query("target.isna() and role == 'transfer'")
    assert set(joined["cases"]) == {4} and set(one["cases"]) == {2}
    assert joined["change"].tolist() == pytest.approx(one["change"].tolist())
    assert (joined["high"] - joined["low"]).tolist() == pytest.approx((one["high"] - one["low"]).tolist())
    assert set(two["shifted_target"].dropna()) == {"foggy-digits", "foggy-glyphs", "twin"}


def test_where_nothing_can_be_compared_there_are_no_rows(outcomes):
    assert shift_table(outcomes, {}, 0.95).empty


def test_a_shifted_target_is_no_unseen_task_and_no_source_unless_it_was_seen_itself():
    rows = [("digits", None, "foggy-digits"), ("foggy-digits", None, "foggy-digits"), (None, None, "foggy-glyphs")]
    rows += [("digits", "foggy-glyphs", "foggy-glyphs"), ("digits", None, "digits"), ("digits", None, "glyphs")]
    own = OWN | {"foggy-digits": ["digits", "foggy-digits"], "foggy-glyphs": ["foggy-glyphs"]}
    frame = pd.DataFrame(rows, columns=["prune_source", "tuned_on", "target"])
    found = with_roles(frame, own, shifted=list(SHIFTS))["role"].tolist()
    assert found == ["shifted", "source", "shifted", "source", "source", "transfer"]


def test_no_mean_and_no_verdict_counts_a_shifted_target(outcomes):
    clean = outcomes[~outcomes["target"].isin(list(SHIFTS))]
    assert set(outcomes["role"]) == {"source", "transfer", "shifted"}
    for table in (
        lambda frame: judge(frame, 0.05, 0.95),
        lambda frame: mean_retentions(frame, 0.95),
        lambda frame: compare_scores(frame, 0.95),
    ):
        pd.testing.assert_frame_equal(table(outcomes), table(clean))
    assert set(retention_intervals(outcomes, 0.95)["target"]) == set(TARGETS)
    bare = outcomes[outcomes["score"] == "diagonal"]
    joined = recovery_changes(pd.concat([bare, bare.assign(recovery="moments", method="moments")]), 0.95)
    assert set(joined.loc[joined["target"].isna(), "role"]) == {"transfer"}
    assert set(joined.loc[joined["target"].isna(), "n"]) == {IMAGES}
