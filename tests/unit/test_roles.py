"""Whose images a mask or a recovery saw, and the mean retention over sources and targets."""

from __future__ import annotations

import pandas as pd
import pytest
from unit.measured import row

from prunetransfer.analysis.retention import at_sparsity, mean_retention, middle_sparsity, with_sources
from prunetransfer.analysis.roles import with_roles


def test_a_data_free_row_counts_once_for_every_source():
    rows = [row("magnitude", target, 0.1, 0.9) for target in ("digits", "glyphs", "textures")]
    rows += [row("block", "digits", 0.1, 0.9, source="glyphs"), row("magnitude", "digits", 0.1, 0.9, tuned_on="digits")]
    found = with_sources(pd.DataFrame(rows))
    untuned = found[(found["score"] == "magnitude") & (found["recovery"] == "none")]
    assert set(zip(untuned["source"], untuned["target"], untuned["role"], strict=True)) == {
        ("digits", "digits", "source"),
        ("digits", "glyphs", "transfer"),
        ("digits", "textures", "transfer"),
        ("glyphs", "digits", "transfer"),
        ("glyphs", "glyphs", "source"),
        ("glyphs", "textures", "transfer"),
    }
    assert len(untuned) == 6
    assert found.loc[found["score"] == "block", "source"].tolist() == ["glyphs"]
    assert found.loc[found["recovery"] == "finetune", "source"].tolist() == ["digits"]


def test_the_role_of_a_data_free_row_goes_by_the_images_and_not_by_the_names():
    rows = [
        row("magnitude", target, 0.1, 0.9, own_sources=own) for target, own in {"few": "all+some", "x": None}.items()
    ]
    rows += [row("block", "x", 0.1, 0.9, source=source, own_sources=None) for source in ("all", "x-ray")]
    found = with_sources(pd.DataFrame(rows))
    untuned = found[found["score"] == "magnitude"].set_index(["source", "target"])["role"].to_dict()
    assert untuned.pop(("all", "few")) == "source"
    assert set(untuned) == {("all", "x"), ("x-ray", "few"), ("x-ray", "x")} and set(untuned.values()) == {"transfer"}


def test_roles_say_what_the_mask_or_the_recovery_saw():
    own = {"few": ["all", "some"], "other": []}
    rows = [("all", None, "few"), (None, "some", "few"), ("other", "other", "few"), (None, None, "few")]
    rows += [("other", None, "other")]
    frame = with_roles(pd.DataFrame(rows, columns=["prune_source", "tuned_on", "target"]), own)
    assert frame["own_sources"].tolist() == ["all+some"] * 4 + [None]
    assert frame["role"].tolist() == ["source", "source", "transfer", "transfer", "transfer"]
    tasks = with_roles(frame[["prune_source", "target"]].rename(columns={"target": "task"}), own, of="task")
    assert tasks["role"].tolist() == ["source"] + ["transfer"] * 4


def test_the_role_of_a_sequence_is_that_of_each_of_its_datasets():
    own = {"few": ["all"], "letters": ["glyphs", "both"], "other": []}
    rows = [(source, target) for source in ("all-then-glyphs", "glyphs-then-all", "both") for target in own]
    frame = with_roles(pd.DataFrame(rows, columns=["prune_source", "target"]), own)
    assert frame["role"].tolist() == [*["source", "source", "transfer"] * 2, "transfer", "source", "transfer"]
    free = [row("magnitude", target, 0.1, 0.9, own_sources=name) for target, name in {"few": "all", "x": None}.items()]
    found = with_sources(pd.DataFrame([*free, row("block", "x", 0.1, 0.9, source="all-then-b", own_sources=None)]))
    untuned = found[found["score"] == "magnitude"].set_index(["source", "target"])["role"].to_dict()
    assert untuned == {("all-then-b", "few"): "source", ("all-then-b", "x"): "transfer"}


def test_without_any_source_data_free_rows_stay_transfer():
    found = with_sources(pd.DataFrame([row("magnitude", "digits", 0.1, 0.9)]))
    assert found["role"].tolist() == ["transfer"]
    assert mean_retention(found, by=["sparsity"])["retention"].tolist() == [0.9]


@pytest.mark.parametrize("column", ["study", "mask", "readout"])
def test_studies_masks_and_readouts_are_not_averaged_together(column):
    rows = [row("magnitude", "digits", 0.1, 0.9), row("magnitude", "digits", 0.1, 0.9, **{column: "other"})]
    with pytest.raises(ValueError, match=f"mixes {column} .*other"):
        with_sources(pd.DataFrame(rows))


def test_mean_retention_spans_pairs_after_averaging_their_seeds():
    retentions = {("glyphs", 0): 0.2, ("glyphs", 1): 0.6, ("textures", 0): 0.8, ("textures", 1): 1.0}
    rows = [row("block", target, 0.3, value, source="digits", seed=k) for (target, k), value in retentions.items()]
    found = mean_retention(with_sources(pd.DataFrame(rows)), by=["score", "sparsity"])
    assert found.columns.tolist() == ["score", "sparsity", "retention", "low", "high"]
    assert found.iloc[0, 2:].tolist() == pytest.approx([0.65, 0.4, 0.9])


def test_the_rows_of_a_sparsity_and_the_middle_one():
    frame = pd.DataFrame({"sparsity": [0.1, 0.2, 0.1 + 0.2, 0.3, 0.7, 0.5]})
    assert at_sparsity(frame, 0.3).index.tolist() == [2, 3]
    assert middle_sparsity(frame[frame["sparsity"] != 0.1 + 0.2]) == 0.3
    with pytest.raises(ValueError, match=r"no rows at sparsity 0\.4; the table has 0\.1, 0\.2"):
        at_sparsity(frame, 0.4)
