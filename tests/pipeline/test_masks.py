"""Entries of `masks` in a study: layer budgets, n:m and whole units beside the global masks, and what they save."""

from __future__ import annotations

import numpy as np
import pytest

from prunetransfer.pruning.masks import achieved_sparsity, read_mask
from prunetransfer.storage.schemas.registry import TABLES
from prunetransfer.storage.tables import read_table
from prunetransfer.structure.units import read_units, removed

MASKS = {
    "global": {},
    "erk": {"allocation": "erk", "sparsities": [0.4]},
    "nm": {"pattern": "2:3", "scores": ["magnitude"]},
    "units": {"pattern": "channels", "sparsities": [0.3], "scores": ["features", "stepped", "diagonal"]},
}
STEPPED = {"score": "features", "samples": 8, "steps": {"rounds": 2, "between": "reconstruct"}}


@pytest.fixture(scope="module")
def masked(finished_study, tmp_path_factory):
    """The tiny study with masks of every pattern, a label-free score at once and in steps, and what they save."""
    study = finished_study.copied_to(tmp_path_factory.mktemp("masks") / "tiny")
    study.config |= {
        "masks": MASKS,
        "scores": study.config["scores"] | {"features": {"samples": 8}, "stepped": STEPPED},
        "recoveries": {
            "none": {},
            "finetune": {"epochs": 1, "learning_rate": 0.001, "masks": ["global"], "sparsities": [0.4]},
            "reconstruct": {"samples": 8, "masks": ["units"]},
        },
        "efficiency": {"seconds": 0.02, "batch_sizes": [1, 4], "scores": ["magnitude", "features"]},
    }
    planned = study.planned()
    assert {f"masks/net/magnitude/seed0/{name}" for name in ("erk-0.4", "nm-0.333333")} <= planned
    assert not [job for job in planned if job.startswith("masks/net/diagonal@red/seed0/nm")]
    # What was there stays: the masks of the entry `global` are called as before, and nothing that made them changed.
    assert not planned & {"masks/net/magnitude/seed0/0.4", "scores/net/diagonal@red/seed0", "heads/net/red"}
    study.run()
    return study


def table(study, name):
    return read_table(study.folder / f"results/tiny/tables/{name}.parquet", TABLES[name])


def mask_of(study, criterion, name):
    return read_mask(study.folder / f"results/tiny/masks/net/{criterion}/seed0/{name}.safetensors")


def test_each_entry_is_a_curve_of_its_own(masked):
    accuracy = table(masked, "accuracy")
    found = accuracy.groupby("mask")["sparsity"].unique().map(sorted).to_dict()
    assert found == {"global": [0, 0.4], "erk": [0.4], "nm": [0.333333], "units": [0.3]}
    assert set(accuracy.query("recovery == 'reconstruct'")["mask"]) == {"units"}
    assert set(accuracy.query("recovery == 'finetune'")["mask"]) == {"global"}
    for name in ("verdicts", "safe_sparsity", "layer_sparsity", "retention"):
        assert set(table(masked, name)["mask"]) == set(MASKS), name


def test_the_masks_are_what_their_entries_say(masked):
    two_of_three = mask_of(masked, "magnitude", "nm-0.333333")
    assert (two_of_three["0.weight"].sum(1) == 2).all() and two_of_three["5.weight"].reshape(12, 8, 3).sum(
        -1
    ).max() == 2
    uneven = table(masked, "layer_sparsity").query("mask == 'erk' and score == 'magnitude'")
    assert uneven.set_index("layer")["layer_sparsity"].to_dict()["5.weight"] < 0.4
    assert uneven["pruned"].sum() == round(0.4 * uneven["weights"].sum())
    units = read_units(masked.folder / "results/tiny/units/net.safetensors")
    for criterion in ("features@red", "diagonal@red", "stepped@red"):
        mask = mask_of(masked, criterion, "units-0.3")
        gone = removed(units, mask)
        assert sum(map(np.sum, gone)) > 0 and achieved_sparsity(mask) == pytest.approx(0.3, abs=0.1), criterion


def test_what_is_removed_saves_multiply_adds_and_zeros_do_not(masked):
    saved = table(masked, "efficiency")
    assert set(saved["score"]) == {"magnitude", "features"} and set(saved["batch_size"]) == {1, 4}
    units = saved[saved["mask"] == "units"]
    assert (units["multiply_adds"] < units["dense_multiply_adds"]).all() and (
        units["bytes"] < units["dense_bytes"]
    ).all()
    zeros = saved[saved["mask"] != "units"]
    assert (zeros["multiply_adds"] == zeros["dense_multiply_adds"]).all() and (zeros["speed_up"] > 0).all()
    assert (masked.folder / "results/tiny/figures/efficiency.png").exists()


def test_a_further_entry_makes_its_masks_and_what_reads_them(masked):
    masked.config |= {"masks": MASKS | {"lamp": {"allocation": "lamp", "scores": ["magnitude"], "sparsities": [0.4]}}}
    planned = masked.planned()
    assert [job for job in planned if job.startswith(("masks", "scores", "recovered"))] == [
        "masks/net/magnitude/seed0/lamp-0.4"
    ]
    masked.config |= {"masks": MASKS}
    assert not masked.planned()
