"""Verdicts on the predictions: P1, that pruning alone keeps accuracy, and P2, what fine-tuning does to it."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from unit.measured import block, judged, row, summary, tuned_pairs, verdict

from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.schemas.verdicts import VERDICTS
from prunetransfer.storage.tables import write_table


@pytest.mark.parametrize(
    ("retentions", "name", "sustained"),
    [
        ({0.1: 1.02, 0.2: 0.97, 0.5: 0.96}, "holds", 0.5),
        ({0.1: 0.99, 0.2: 0.95, 0.5: 0.94}, "partly", 0.2),  # exactly 1 - τ is kept
        ({0.5: 0.97, 0.2: 0.90, 0.1: 0.98}, "partly", 0.1),  # rows unordered; what comes back later does not count
        ({0.1: 0.94, 0.2: 0.99}, "fails", 0.0),
    ],
)
@pytest.mark.parametrize("role", ["source", "transfer"])
def test_p1_is_the_largest_sparsity_up_to_which_retention_is_kept(retentions, name, sustained, role):
    other = block({0.1: 0.5, 0.2: 0.5, 0.5: 0.5}, "transfer" if role == "source" else "source")
    found_rows = judged(block(retentions, role) + other)
    found = verdict(found_rows, prediction="P1", role=role)
    assert (found["verdict"], found["sustained_sparsity"]) == (name, sustained)
    assert (found["cases"], found["tolerance"]) == (1, 0.05)
    assert "P2" not in set(found_rows["prediction"])


def test_p1_judges_the_mean_over_pairs_and_leaves_fine_tuned_rows_out():
    rows = [row("block", target, 0.1, value, source="digits") for target, value in [("glyphs", 0.8), ("textures", 1.1)]]
    rows += [row("block", "glyphs", 0.1, 0.1, source="digits", tuned_on="digits")]
    found = verdict(judged(rows), prediction="P1", role="transfer")
    assert (found["verdict"], found["cases"]) == ("holds", 2)
    assert verdict(judged(rows, tolerance=0.04), prediction="P1", role="transfer")["verdict"] == "fails"


def test_p1_counts_a_mean_that_misses_the_bound_by_rounding_as_kept():
    retentions = {"glyphs": 0.85, "textures": 0.95, "flowers": 1.05}
    assert pd.Series(retentions).mean() < 0.95
    rows = [row("block", target, 0.1, value, source="digits") for target, value in retentions.items()]
    assert judged(rows)["verdict"].tolist() == ["holds"]


@pytest.mark.parametrize(
    ("changes", "name", "fell"),
    [
        ([0.10, 0.12, 0.08], "improved", 0),
        ([-0.10, -0.12, -0.08], "harmed", 3),
        ([0.02, -0.02, 0.01], "mixed", 1),
        ([0.0, 0.0], "mixed", 0),
    ],
)
def test_p2_is_the_mean_change_of_paired_rows(changes, name, fell):
    found = verdict(judged(tuned_pairs(changes)), prediction="P2")
    assert (found["verdict"], found["role"], found["cases"], found["fell"]) == (name, "transfer", len(changes), fell)
    mean = sum(changes) / len(changes)
    assert found["change"] == pytest.approx(mean)
    # Every image changes to the same side, so each target's variance is that of a share of images.
    reach = 1.96 * math.sqrt(sum(abs(c) - c**2 for c in changes) / 1000) / len(changes)
    assert (found["low"], found["high"]) == pytest.approx((mean - reach, mean + reach), abs=2e-3)


def test_p2_pairs_a_tuned_data_free_mask_with_the_untuned_row_of_its_target():
    before = {"digits": 0.2, "glyphs": 0.4, "textures": 0.6}
    rows = [row("magnitude", target, sparsity, value) for target, value in before.items() for sparsity in (0.3, 0.7)]
    rows += [row("magnitude", target, 0.3, value + 0.2, tuned_on="digits") for target, value in before.items()]
    found = verdict(judged(rows), prediction="P2")
    assert (found["cases"], found["verdict"]) == (2, "improved")  # glyphs and textures; digits is the source
    assert found["change"] == pytest.approx(0.1)


def test_p2_pairs_only_the_same_seed_and_sparsity():
    rows = [
        *(row("block", "glyphs", 0.3, value, source="digits", seed=seed) for seed, value in [(0, 0.2), (1, 0.6)]),
        row("block", "glyphs", 0.3, 0.4, source="digits", tuned_on="digits", seed=0),
        row("block", "glyphs", 0.3, 1.0, source="digits", tuned_on="digits", seed=1),
        row("block", "glyphs", 0.5, 0.9, source="digits", tuned_on="digits", seed=1),
    ]
    found = verdict(judged(rows), prediction="P2")
    assert found["cases"] == 2
    assert found["change"] == pytest.approx((0.1 + 0.2) / 2)


def test_verdicts_fit_their_schema(tmp_path):
    accuracy = tuned_pairs([0.1, 0.2])
    write_table(tmp_path / "accuracy.parquet", accuracy, ACCURACY, {})
    write_table(tmp_path / "verdicts.parquet", judged(accuracy), VERDICTS, {})
    write_table(tmp_path / "none.parquet", judged(accuracy[accuracy["recovery"] == "lost"]), VERDICTS, {})
    assert (tmp_path / "none.parquet").exists()


def test_p2_goes_by_what_a_recovery_does_and_not_by_its_name():
    pairs = tuned_pairs([0.10, 0.12])
    named = pairs.assign(recovery=pairs["recovery"].replace("finetune", "tuned"))
    row = verdict(judged(named), prediction="P2")
    assert row[["recovery", "method", "verdict"]].tolist() == ["tuned", "finetune", "improved"]
    assert "block + tuned +11.0" in summary(named)
    for method in (
        "reconstruct",
        "reconstruct+finetune",
    ):  # whatever the entry's name; a chain does more than fine-tune
        misnamed = pairs.assign(method=pairs["method"].replace("finetune", method))
        assert set(judged(misnamed)["prediction"]) == {"P1"}
    both = pd.concat([pairs, named[named["recovery"] == "tuned"].assign(correct=300)])
    assert verdict(judged(both), recovery="tuned")["verdict"] == "mixed"
    assert verdict(judged(both), recovery="finetune")["verdict"] == "improved"


def test_readouts_are_judged_each_alone():
    rows = [*block({0.1: 1.0, 0.5: 0.5}, "source"), row("block", "glyphs", 0.1, 1.0, source="digits")]
    probed = [one | {"readout": "linear_probe", "retention": 1.0, "correct": 500} for one in rows]
    both = pd.DataFrame(rows + probed)
    found = judged(both)
    for readout, expected in (("zero_shot", "partly"), ("linear_probe", "holds")):
        assert verdict(found, readout=readout, role="source")["verdict"] == expected
    alone = pd.DataFrame(rows)
    assert summary(both) == summary(alone)
