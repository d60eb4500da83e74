"""Backbones of one architecture against each other, on outcomes that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from unit.findings import findings

from prunetransfer.analysis.pretrainings import compare_pretrainings, grouped, pretraining_retentions
from prunetransfer.config.groups import pretraining_groups, recovery_methods, several_pretrainings
from prunetransfer.report.answer import answer
from prunetransfer.report.pages import markdown
from prunetransfer.report.pretrainings import pretraining_sentences
from prunetransfer.storage.schemas.pretrainings import PRETRAINING_COMPARISONS, PRETRAININGS
from prunetransfer.storage.tables import read_table, write_table

IMAGES = 400
LABELS = {
    "res-a": {"group": "resnet18", "pretraining": "supervised"},
    "res-b": {"group": "resnet18", "pretraining": "moco"},
    "res-c": {"group": "resnet18", "pretraining": "dino"},
    "vit": {"group": "vit", "pretraining": "supervised"},
}
RIGHT = {  # backbone → images right dense, and at sparsities 0.3 and 0.6, on every target
    "res-a": (300, 270, 150),
    "res-b": (200, 196, 160),
    "res-c": (200, 195, 160),
    "vit": (300, 300, 300),
}


def outcomes(targets=("digits", "glyphs"), right=RIGHT) -> pd.DataFrame:
    """`magnitude` without recovery; of each backbone's images the first so many are right."""
    rows = [
        {
            **{"study": "mini", "backbone": backbone, "score": "magnitude", "prune_source": None, "tuned_on": None},
            **{"mask": "global", "sparsity": sparsity, "recovery": "none", "method": "none"},
            **{"target": target, "own_sources": None, "role": "transfer"},
            **{"readout": "zero_shot", "seed": 0},
            **{"dense": np.arange(IMAGES) < dense, "correct": np.arange(IMAGES) < kept},
        }
        for backbone, (dense, *pruned) in right.items()
        for sparsity, kept in zip((0.3, 0.6), pruned, strict=True)
        for target in targets
    ]
    return pd.DataFrame(rows)


def one(frame: pd.DataFrame, **names) -> pd.Series:
    for column, value in names.items():
        frame = frame[frame[column].isna()] if value is None else frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_retentions_are_means_over_what_all_backbones_of_a_group_have():
    found = pretraining_retentions(grouped(outcomes(), LABELS), 0.95)
    assert set(found["group"]) == {"resnet18"}  # a lone pre-training has nothing to be compared with
    at = one(found, backbone="res-a", sparsity=0.6)
    assert (at["pretraining"], at["cases"], at["dense_top1"], at["retention"]) == ("supervised", 2, 0.75, 0.5)
    over_all = one(found, backbone="res-a", sparsity=None)
    assert (over_all["cases"], over_all["retention"]) == (4, pytest.approx(0.7))
    assert over_all["low"] < 0.7 < over_all["high"]


def test_a_target_that_one_backbone_lacks_counts_for_none_of_its_group():
    frame = outcomes()
    frame = frame[(frame["backbone"] != "res-b") | (frame["target"] == "digits")]
    frame.loc[frame["target"] == "glyphs", "correct"] = frame["dense"]
    found = pretraining_retentions(grouped(frame, LABELS), 0.95)
    assert (found.loc[found["sparsity"].notna(), "cases"] == 1).all()
    assert one(found, backbone="res-a", sparsity=0.6)["retention"] == 0.5


def test_pretrainings_are_compared_by_their_retention_on_the_same_images():
    found = compare_pretrainings(grouped(outcomes(), LABELS), 0.95)
    assert len(found) == 3 * 3
    row = one(found, backbone="res-a", other_backbone="res-b", sparsity=0.6)
    assert (row["difference"], row["verdict"]) == (pytest.approx(0.5 - 0.8), "lower")
    assert row["low"] < -0.3 < row["high"] < 0
    assert one(found, backbone="res-b", other_backbone="res-c", sparsity=None)["verdict"] == "equal"
    at_sparsities = found[found["sparsity"].notna()]
    assert row["p_holm"] >= row["p_value"]
    assert (at_sparsities["p_holm"].max(), found["p_holm"].isna().any()) == (1, False)


def test_backbones_that_were_pre_trained_alike_are_not_compared():
    alike = LABELS | {"res-c": {"group": "resnet18", "pretraining": "moco"}}
    found = compare_pretrainings(grouped(outcomes(), alike), 0.95)
    pairs = set(zip(found["backbone"], found["other_backbone"], strict=True))
    assert pairs == {("res-a", "res-b"), ("res-a", "res-c")}


def test_the_page_answers_first_which_pretraining_prunes_best(tmp_path):
    answers = findings(outcomes(), labels=LABELS)
    for name, schema in {"pretrainings": PRETRAININGS, "pretraining_comparisons": PRETRAINING_COMPARISONS}.items():
        write_table(tmp_path / f"{name}.parquet", getattr(answers, name), schema, {})
        assert len(read_table(tmp_path / f"{name}.parquet", schema)) == 9
    (told,) = pretraining_sentences(answers.pretrainings, answers.pretraining_comparisons)
    assert told.startswith(
        "resnet18, mean retention on unseen tasks over all sparsities tried: by magnitude moco keeps "
    )
    assert told.endswith("ahead of supervised (0.700), not shown to be ahead of dino (0.887).")
    text = markdown(answer(answers))
    assert text.startswith("Which pre-training prunes best?")
    assert "| resnet18 | supervised | 0.750 | 0.700 [" in text and "| vit |" not in text.split("Pruned without")[0]


def test_a_study_without_such_a_group_says_nothing_of_it():
    lone = {name: label | {"pretraining": "supervised"} for name, label in LABELS.items()}
    answers = findings(outcomes(), labels=lone)
    assert answers.pretrainings.empty and answers.pretraining_comparisons.empty
    assert pretraining_sentences(answers.pretrainings, answers.pretraining_comparisons) == []


def test_groups_share_architecture_and_options():
    backbones = {
        "a": {"architecture": "resnet18", "options": {"width": 1}, "pretraining": "supervised"},
        "b": {"architecture": "resnet18", "options": {"width": 2}, "pretraining": "supervised"},
        "c": {"architecture": "resnet18", "options": {"width": 1}, "pretraining": "dino"},
    }
    found = pretraining_groups(backbones)
    assert {name: label["group"] for name, label in found.items()} == {
        **{"a": "resnet18", "b": "resnet18 (2)", "c": "resnet18"}
    }
    assert several_pretrainings(found)
    assert not several_pretrainings(pretraining_groups({name: backbones[name] for name in "ab"}))


def test_a_recovery_is_known_by_its_function():
    recoveries = {"none": {}, "slow": {"recovery": "finetune"}, "moments": {"recovery": "moments"}, "moments+slow": {}}
    assert recovery_methods(recoveries) == {
        **{"none": "none", "slow": "finetune", "moments": "moments", "moments+slow": "moments+finetune"}
    }
