"""Which datasets share their train images, and which targets are a condition of another one."""

from __future__ import annotations

import pytest
from unit.configs import VALID

from prunetransfer.config import validate_config
from prunetransfer.datasets.seen import of_split, same_train, shifts

VIEWS = {
    "noise": {"view_of": "glyphs", "corrupt": {"kind": "gaussian_noise"}},
    "fog": {"view_of": "glyphs", "corrupt": {"kind": "fog", "severity": 5}, "seed": 3},
    "none": {"view_of": "glyphs", "corrupt": {"kind": "fog", "severity": 0}},
    "both": {"view_of": "glyphs", "corrupt": {"kind": "fog", "splits": ["train", "test"]}},
    "coarse": {"view_of": "glyphs", "resolution": {"test": 16}},
    "coarser": {"view_of": "coarse", "corrupt": {"kind": "fog"}},
    "fewer-tests": {"view_of": "glyphs", "limit": {"test": 30}},
    "foggy-few": {"view_of": "fewer-tests", "corrupt": {"kind": "fog"}},
    "tail": {"view_of": "glyphs", "imbalance": {"ratio": 10}},
    "foggy-tail": {"view_of": "tail", "corrupt": {"kind": "fog", "severity": 1}},
    "train-noise": {"view_of": "glyphs", "corrupt": {"kind": "fog", "splits": ["train"]}},
    "as-good-as-whole": {"view_of": "glyphs", "label_noise": 0},
}


@pytest.fixture
def datasets(schema, root) -> dict:
    return validate_config(VALID | {"datasets": VALID["datasets"] | VIEWS}, schema, root)["datasets"]


@pytest.fixture
def needs(schema) -> dict:
    return {name: node["needs"] for name, node in schema["$defs"]["views"].items()}


def test_what_leaves_the_train_split_as_it_is_shares_it(datasets, needs):
    shared = same_train(datasets, ["coarse", "glyphs", *VIEWS], needs)
    glyphs = {"noise", "fog", "none", "coarse", "coarser", "fewer-tests", "foggy-few", "as-good-as-whole"}
    assert {name: shared[name] for name in VIEWS} == (
        dict.fromkeys(glyphs, "glyphs") | {"both": "both", "tail": "tail", "foggy-tail": "tail", "train-noise": "both"}
    )
    assert shared["digits"] == "digits"


def test_only_what_is_used_is_prepared_for_others(datasets, needs):
    """And only test images that the other dataset has too: there they are compared with the train images."""
    shared = same_train(datasets, ["fewer-tests", "noise", "foggy-few"], needs)
    assert shared["foggy-few"] == "fewer-tests"
    assert shared["noise"] == "noise"
    assert shared["coarser"] == "noise"
    assert shared["glyphs"] == "noise"  # which nobody asks for


def test_a_head_of_its_own_is_shared_with_views_of_its_dataset_alone(schema, root, needs):
    entries = {
        "known": {"view_of": "glyphs", "limit": {"test": 30}, "head": {"kind": "own"}},
        "foggy-known": {"view_of": "known", "corrupt": {"kind": "fog"}},
        "as-known": {"view_of": "glyphs", "head": {"kind": "own"}},
    }
    datasets = validate_config(VALID | {"datasets": VALID["datasets"] | entries}, schema, root)["datasets"]
    shared = same_train(datasets, ["glyphs", *entries], needs)
    assert {name: shared[name] for name in entries} == {
        "known": "known",
        "foggy-known": "known",
        "as-known": "as-known",
    }


def test_a_target_is_shifted_where_its_test_pixels_change(datasets, needs):
    found = shifts(datasets, ["digits", "glyphs", "tail", *VIEWS], needs)
    assert {name: tuple(shift.values()) for name, shift in found.items()} == {
        "noise": ("glyphs", "gaussian_noise 3", 3.0),
        "fog": ("glyphs", "fog 5", 5.0),
        "both": ("glyphs", "fog 3", 3.0),
        "coarse": ("glyphs", "resolution 16", None),
        "coarser": ("glyphs", "resolution 16, fog 3", None),
        "foggy-few": ("fewer-tests", "fog 3", 3.0),
        "foggy-tail": ("tail", "fog 1", 1.0),
    }
    assert shifts(datasets, ["digits", "foggy-few", "glyphs"], needs)["foggy-few"]["target"] is None


def test_what_a_step_is_told_of_a_split(needs):
    assert of_split({"train": 3, "test": None}, "train", needs["limit"]) == 3
    assert of_split({"train": 3, "test": None}, "test", needs["limit"]) is None
    assert of_split(3, "test", needs["limit"]) == 3
    assert of_split(0.2, "test", needs["label_noise"]) is None
    assert of_split(0.0, "train", needs["label_noise"]) is None
    assert of_split({"ratio": 1.0}, "train", needs["imbalance"]) is None
