"""What a wrong config is answered with."""

from __future__ import annotations

import math

import pytest
from unit import wrong_names, wrong_values
from unit.configs import changed, problems

from prunetransfer.config import validate_config

WRONG = [*wrong_names.WRONG, *wrong_values.WRONG]


@pytest.mark.parametrize(("path", "value", "line"), WRONG, ids=[f"{k}-{case[0]}" for k, case in enumerate(WRONG)])
def test_one_mistake_is_answered_with_one_clear_line(path, value, line, schema, root):
    assert problems(changed(path, value), schema, root) == [line]


def test_only_a_reconstruct_between_the_steps_can_refine(schema, root):
    config = changed("recoveries/moments", {})
    config["scores"]["magnitude"] = {"steps": {"rounds": 2, "between": "moments", "refine": True}}
    line = "scores.magnitude.steps.refine = true: needs a reconstruct between the steps, and moments is a moments"
    assert problems(config, schema, root) == [line]


def test_every_mistake_is_listed_once_in_order(schema, root):
    config = changed("sparsities", [0.3, 1.0, 2.0]) | {"targets": ["texture"], "thread": 2, "seeds": []}
    lines = problems(config, schema, root)
    assert lines == sorted(lines)
    assert [line.split(" ")[0] for line in lines] == [
        "recoveries.finetune.sparsities[0]",
        "seeds",
        "sparsities[1]",
        "sparsities[2]",
        "targets[0]",
        "thread",
    ]


@pytest.mark.parametrize("empty", [None, {}])
def test_an_empty_file_is_told_what_a_study_needs(empty, schema, root):
    missing = [line.split(":")[0] for line in problems(empty, schema, root)]
    assert missing == ["backbones", "datasets", "scores", "sources", "sparsities", "study", "targets"]


@pytest.mark.parametrize("config", [[], ["study"], "study", 3, math.nan, True])
def test_what_is_no_mapping_is_refused(config, schema, root):
    (line,) = problems(config, schema, root)
    assert line.startswith("config = ") and "must be a mapping with the keys study, seeds" in line


def test_a_missing_folder_of_images_is_named_in_full(schema, root):
    (line,) = problems(changed("datasets/mine/path", "images"), schema, root)
    assert line == f"datasets.mine.path = 'images': there is no folder '{root}/data/images'"
    validate_config(changed("datasets/mine/path", str(root / "data/mine")), schema, root)
