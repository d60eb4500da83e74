"""The committed schema is what the library declares; the shipped studies and docs/config.md agree with it."""

from __future__ import annotations

import json
import subprocess
import sys

import jsonschema
import pytest
from unit.configs import changed

from prunetransfer.config import ConfigError, validate_config
from prunetransfer.config.docs import page
from prunetransfer.config.extending import read_study
from prunetransfer.config.schema import config_schema, written
from prunetransfer.curvature.grad_outputs import MATRICES
from prunetransfer.datasets.kinds.torchvision import VARIANTS
from prunetransfer.datasets.splits import SAMPLINGS
from prunetransfer.heads import LOSS_OF_KIND
from prunetransfer.heads.fitting import KINDS
from prunetransfer.heads.losses import LOSSES
from prunetransfer.settings.registry import REGISTRY, keywords


def test_the_committed_schema_is_what_the_functions_declare(repository):
    committed = (repository / "workflow/schemas/config.schema.json").read_text(encoding="utf-8")
    assert committed == written(config_schema()), "run: python -m prunetransfer.config.schema"
    assert json.loads(committed)["$comment"].startswith("Made by")


def test_each_function_takes_the_settings_that_its_definition_has(schema):
    """What a job hands over by keyword is what the function asks for."""
    config_schema()  # imports all that is registered
    kept = {
        "datasets": {"kind", "head", "skip_unreadable", "allow_overlap"},
        "scores": {"score", "beside", "steps"},
        "masks": {"sparsities", "backbones", "scores"},
        "recoveries": {"recovery", "beside", "masks", "sparsities", "backbones", "scores"},
        "pretrain": set(),
    }
    for section, of_planning in kept.items():
        nodes = {name: node for name, node in schema["$defs"][section].items() if "needs" in node}
        assert nodes.keys() == REGISTRY[section].keys()
        for name, node in nodes.items():
            entry = REGISTRY[section][name]
            taken = {p.name for p in keywords(entry.function)} - {"data_root", "folder"}
            taken |= {"pattern"} if section == "masks" else set()
            assert node["properties"].keys() - of_planning == taken, name
            assert json.loads(json.dumps(entry.needs)) == node["needs"]


def test_readouts_read_keys_of_the_study(schema):
    for readout, node in schema["$defs"]["readouts"].items():
        assert set(node["needs"]["keys"]) <= schema["properties"].keys(), readout
    assert {name: node["needs"] for name, node in schema["$defs"]["readouts"].items()} == {
        "zero_shot": {"train": False, "keys": []},
        "linear_probe": {"train": True, "keys": ["head"]},
        "knn": {"train": True, "keys": ["neighbours"]},
    }


def test_the_schema_chooses_among_what_the_library_has(schema):
    """Where a choice is a table of the library's and no registry."""
    properties, scores = schema["properties"], schema["$defs"]["scores"]
    settings = [score["properties"] for name, score in scores.items()]
    for key, choice in (("matrix", MATRICES), ("sampling", SAMPLINGS), ("loss", LOSSES)):
        choices = [of_score[key]["enum"] for of_score in settings if key in of_score]
        assert len(choices) >= 3 and all(found == list(choice) for found in choices)
    assert properties["head"]["properties"]["kind"]["enum"] == list(KINDS)
    own = properties["datasets"]["additionalProperties"]["properties"]["head"]
    assert {*own["properties"]["kind"]["enum"], *KINDS} == LOSS_OF_KIND.keys()
    assert schema["$defs"]["datasets"]["view"]["properties"].keys() == {"view_of", "head", "seed", *REGISTRY["views"]}
    assert {name: node["needs"] for name, node in schema["$defs"]["views"].items()} == {
        name: json.loads(json.dumps(entry.needs)) for name, entry in REGISTRY["views"].items()
    }
    variant = schema["$defs"]["datasets"]["torchvision"]["properties"]["variant"]
    assert all(name in variant["description"] for name in VARIANTS)


def test_the_weight_decay_of_fine_tuning_is_the_one_that_studies_have_had(schema, root):
    assert (
        validate_config(changed("recoveries/finetune", {}), schema, root)["recoveries"]["finetune"]["weight_decay"]
        == 1e-4
    )


def test_the_schema_is_a_json_schema_in_which_every_key_is_described(schema):
    jsonschema.Draft202012Validator.check_schema(schema)

    def check(node: dict, at: str) -> None:
        for key, child in node.get("properties", {}).items():
            assert child["description"].endswith((".", "?")), f"{at}.{key}"
            explained = {"default", "default_from", "default_of_model"} & child.keys() or key in node.get(
                "required", ()
            )
            # another key gives them a meaning, or they are off
            unset = ("kind", "head", "score", "recovery", "sparsities", "landscape", "efficiency", "extends", "steps")
            unset += ("part", "imbalance", "label_noise", "resolution", "corrupt")
            assert explained or key in unset, f"{at}.{key} is neither required nor has a default"
            check(child, f"{at}.{key}")
        if isinstance(node.get("additionalProperties"), dict):
            check(node["additionalProperties"], f"{at}.<name>")

    check(schema, "")
    for section in ("datasets", "scores", "recoveries", "pretrain"):
        for name, definition in schema["$defs"][section].items():
            check(definition, f"{section}.{name}")


@pytest.mark.parametrize("draws", [None, 3])
@pytest.mark.parametrize("matrix", ["fisher", "ggn"])
def test_curvature_that_draws_may_be_told_how_often(matrix, draws, schema, root):
    config = changed("scores/diagonal", {"matrix": matrix, "draws": draws})
    assert validate_config(config, schema, root)["scores"]["diagonal"]["draws"] == draws


def test_the_embedded_study_is_valid(repository, schema):
    config = read_study(repository / "config.yaml")
    assert validate_config(config, schema, repository)["study"] == config["study"]


def test_the_other_studies_lack_nothing_but_data(repository, schema):
    for study in (repository / "studies").glob("*.yaml"):
        try:
            validate_config(read_study(study), schema, repository)
        except ConfigError as error:
            assert all("there is no f" in line for line in str(error).splitlines()), f"{study.name}: {error}"


def test_the_reference_page_is_current(repository, schema):
    committed = (repository / "docs/config.md").read_text(encoding="utf-8")
    assert committed == page(schema), "run: python -m prunetransfer.config.docs"


def test_reading_a_config_loads_nothing_heavy():
    """Every job of a cluster run reads the config again."""
    heavy = ["torch", "snakemake", "pandas", "pyarrow", "matplotlib", "sklearn", "timm", "pydantic"]
    code = f"import prunetransfer.config, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
