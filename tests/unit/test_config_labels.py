"""What a study is told that wants labels of a dataset which has none."""

from __future__ import annotations

import pytest
from unit.configs import VALID, changed, problems

from prunetransfer.config import validate_config
from prunetransfer.config.labels import labelled, reads_labels

DATASETS = VALID["datasets"] | {
    "made": {"kind": "procedural", "families": ["noise"]},
    "part": {"view_of": "made", "limit": 10},
    "mixed": {"mixture_of": ["digits", "part"]},
    "both": {"mixture_of": ["digits", "glyphs"]},
}
NO_TASK = (
    "has no labels, so it may only be a source or stand beside one; datasets with labels are digits, glyphs, textures, "
    "mine, both"
)
RECIPE = VALID["pretrain"]["own"]


def study(**keys) -> dict:
    """VALID with two datasets without labels."""
    return VALID | {"datasets": DATASETS} | keys


def test_such_a_dataset_and_a_view_of_it_may_be_sources(schema, root):
    config = validate_config(study(sources=["digits", "made", "part"]), schema, root)
    needs = {kind: node["needs"] for kind, node in schema["$defs"]["datasets"].items() if "needs" in node}
    assert labelled(config["datasets"], needs) == ["digits", "glyphs", "textures", "mine", "both"]
    free = {"scores": {"features": {}, "magnitude": {}}, "recoveries": {"none": {}, "reconstruct": {}}}
    validate_config(study(sources=["made"], **free), schema, root)
    # After a sequence the last dataset alone is read.
    tuned = {"scores": {"features": {}}, "recoveries": {"none": {}, "finetune": {"epochs": 1}}}
    validate_config(study(sources=["made then digits"], **tuned), schema, root)
    own = RECIPE | {"dataset": "made", "objective": "dino"}
    validate_config(study(pretrain={"own": own}), schema, root)


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        ({"targets": ["digits", "made"]}, [f"targets[1] = 'made': {NO_TASK}"]),
        ({"targets": ["part", "digits"]}, [f"targets[0] = 'part': {NO_TASK}"]),
        ({"targets": ["both", "mixed"]}, [f"targets[1] = 'mixed': {NO_TASK}"]),
        (
            {"sources": ["digits then made"], "recoveries": {"none": {}}, "scores": {"mine": {"score": "diagonal"}}},
            [
                "scores.mine.score = 'diagonal': reads labels, which no source has (digits-then-made); allowed are "
                "features, magnitude, random, sparsegpt, synflow, wanda"
            ],
        ),
        (
            {"pretrain": {"own": RECIPE | {"dataset": "part"}}},
            [
                "pretrain.own.dataset = 'part': has no labels, which supervised trains on; objectives that need none "
                "are dino, moco-v2"
            ],
        ),
        (
            {"datasets": DATASETS | {"made": {"kind": "procedural", "head": {"kind": "own"}}}},
            ["datasets.made.head.kind = 'own': must be left out, as it has no labels"],
        ),
        (
            {"datasets": DATASETS | {"part": {"view_of": "made", "head": {"kind": "own"}}}},
            ["datasets.part.head.kind = 'own': must be left out, as it has no labels"],
        ),
        (
            {
                "sources": ["made"],
                "scores": {"features": {}, "mine": {"score": "diagonal"}},
                "recoveries": {"none": {}},
            },
            [
                "scores.mine.score = 'diagonal': reads labels, which no source has (made); allowed are features, "
                "magnitude, random, sparsegpt, synflow, wanda"
            ],
        ),
        (
            {
                "sources": ["made", "part"],
                "scores": {"magnitude": {}},
                "recoveries": {"none": {}, "finetune": {"epochs": 1}, "moments": {}, "moments+finetune": {}},
            },
            [
                "recoveries.finetune.recovery = 'finetune': reads labels, which no source has (made, part); allowed "
                "are batchnorm, moments, reconstruct"
            ],
        ),
    ],
)
def test_what_wants_labels_is_refused_in_one_line(keys, lines, schema, root):
    assert problems(study(**keys), schema, root) == lines


def test_scores_and_recoveries_say_whether_they_read_labels(schema):
    sees = {name: reads_labels(node["needs"]) for name, node in schema["$defs"]["scores"].items()}
    assert sees["diagonal"] and sees["block"] and not sees["features"] and not sees["magnitude"]
    assert reads_labels(schema["$defs"]["recoveries"]["finetune"]["needs"])
    assert not reads_labels(schema["$defs"]["recoveries"]["reconstruct"]["needs"])


def test_a_study_of_labelled_datasets_is_as_it_was(schema, root):
    assert validate_config(changed("sources", ["digits", "glyphs"]), schema, root)["sources"] == ["digits", "glyphs"]
