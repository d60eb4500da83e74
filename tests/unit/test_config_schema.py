"""The config schema agrees with the library, the shipped studies and docs/config.md."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import jsonschema
import pytest
import yaml
from unit.configs import changed

import prunetransfer.criteria
import prunetransfer.datasets.kinds
import prunetransfer.recovery
import prunetransfer.training.objectives
from prunetransfer.config import ConfigError, validate_config
from prunetransfer.config.docs import page
from prunetransfer.config.validation import load_schema
from prunetransfer.curvature.seeds import CURVATURES
from prunetransfer.datasets.kinds.torchvision import SPLITS_OF, VARIANTS
from prunetransfer.datasets.splits import SAMPLINGS
from prunetransfer.datasets.views import STEPS
from prunetransfer.evaluation.grid import READOUTS
from prunetransfer.heads import LOSS_OF_KIND
from prunetransfer.heads.fitting import KINDS
from prunetransfer.heads.losses import LOSSES
from prunetransfer.pruning.scores import SCORES


def settings(function: object, *others: str) -> dict[str, object]:
    """The keywords of a function beside `others`, with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in others}


def modules(package: object) -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def keyword_only(function: object) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def test_the_schema_is_a_json_schema_in_which_every_key_is_described(schema):
    jsonschema.Draft202012Validator.check_schema(load_schema(schema))

    def check(node: dict, at: str) -> None:
        for key, child in node.get("properties", {}).items():
            assert child["description"].endswith((".", "?")), f"{at}.{key}"
            explained = {"default", "default_from", "default_of_model"} & child.keys() or key in node.get(
                "required", ()
            )
            unset = (
                "kind",
                "head",
                "score",
                "recovery",
                "landscape",
            )  # another key gives them a meaning, or they are off
            assert explained or key in unset, f"{at}.{key} is neither required nor has a default"
            check(child, f"{at}.{key}")
        if isinstance(node.get("additionalProperties"), dict):
            check(node["additionalProperties"], f"{at}.<name>")

    schema = load_schema(schema)
    check(schema, "")
    for section in ("datasets", "scores"):
        for name, definition in schema["$defs"][section].items():
            check(definition, f"{section}.{name}")


def test_each_kind_of_dataset_takes_what_its_load_function_does(schema):
    kinds = load_schema(schema)["$defs"]["datasets"]
    view = kinds.pop("view")["properties"]
    assert view.keys() == {"view_of", "head", "seed", *STEPS}
    assert sorted(kinds) == modules(prunetransfer.datasets.kinds)
    for kind, definition in kinds.items():
        load = importlib.import_module(f"prunetransfer.datasets.kinds.{kind}").load
        options = {key: node.get("default", inspect.Parameter.empty) for key, node in definition["properties"].items()}
        assert options.pop("kind") is options.pop("head") is inspect.Parameter.empty
        for of_preparing in ("skip_unreadable", "allow_overlap"):
            assert options.pop(of_preparing, False) is False
        assert options == settings(load, "split", "data_root", "folder"), kind


def test_the_schema_names_the_datasets_of_torchvision(schema):
    properties = load_schema(schema)["$defs"]["datasets"]["torchvision"]["properties"]
    assert properties["name"]["enum"] == sorted(SPLITS_OF)
    assert all(name in properties["variant"]["description"] for name in VARIANTS)


def test_each_score_takes_what_its_curvature_does(schema):
    definitions = load_schema(schema)["$defs"]["scores"]
    assert {score.curvature or "none" for score in SCORES.values()} == definitions.keys()
    assert definitions.keys() - {"none"} <= set(modules(prunetransfer.criteria))
    for curvature in definitions.keys() - {"none"}:
        compute = importlib.import_module(f"prunetransfer.criteria.{curvature}").compute
        assert definitions[curvature]["properties"].keys() - {"score"} == keyword_only(compute), curvature


def test_each_score_may_choose_what_the_library_has(schema):
    definitions = load_schema(schema)["$defs"]["scores"]
    diagonal, block = (definitions[curvature]["properties"] for curvature in ("diagonal", "block"))
    assert tuple(block["curvature"]["enum"]) == CURVATURES
    assert tuple(diagonal["curvature"]["enum"]) == (*CURVATURES, "hutchinson")
    assert diagonal["sampling"]["enum"] == block["sampling"]["enum"] == list(SAMPLINGS)
    assert diagonal["loss"]["enum"] == block["loss"]["enum"] == list(LOSSES)


@pytest.mark.parametrize("draws", [None, 3])
@pytest.mark.parametrize("curvature", ["fisher", "ggn", "hutchinson"])
def test_curvature_that_draws_may_be_told_how_often(curvature, draws, schema, root):
    config = changed("scores/diagonal", {"curvature": curvature, "draws": draws})
    assert validate_config(config, schema, root)["scores"]["diagonal"]["draws"] == draws


def test_the_schema_names_the_readouts_and_kinds_of_head(schema):
    properties = load_schema(schema)["properties"]
    assert properties["readouts"]["items"]["enum"] == list(READOUTS)
    assert properties["head"]["properties"]["kind"]["enum"] == list(KINDS)
    own = properties["datasets"]["additionalProperties"]["properties"]["head"]
    assert {*own["properties"]["kind"]["enum"], *KINDS} == LOSS_OF_KIND.keys()


def test_each_recovery_takes_what_its_function_does(schema):
    recoveries = load_schema(schema)["$defs"]["recoveries"]
    known = recoveries.keys() - {"none", "chain"}
    assert sorted(known) == modules(prunetransfer.recovery)
    for name in known:
        recover = importlib.import_module(f"prunetransfer.recovery.{name}").recover
        settings = recoveries[name]["properties"].keys() - {"recovery", "sparsities", "backbones", "scores"}
        assert settings == keyword_only(recover), name


def test_a_recipe_is_what_pretraining_takes(schema):
    from prunetransfer.training.pretraining import pretrain

    schema = load_schema(schema)
    recipe = schema["properties"]["pretrain"]["additionalProperties"]["properties"]
    assert recipe.keys() - {"dataset", "seed"} == keyword_only(pretrain)
    objectives = schema["$defs"]["pretrain"]
    assert recipe["objective"]["enum"] == list(objectives)
    modules_of_objectives = set(modules(prunetransfer.training.objectives))
    assert {name.replace("-", "_") for name in objectives} == modules_of_objectives
    for name, definition in objectives.items():
        build = importlib.import_module(f"prunetransfer.training.objectives.{name.replace('-', '_')}").build
        assert definition["properties"].keys() == keyword_only(build), name


def test_the_embedded_study_is_valid(repository, schema):
    config = yaml.safe_load((repository / "config.yaml").read_text())
    assert validate_config(config, schema, repository)["study"] == config["study"]


def test_the_other_studies_lack_nothing_but_data(repository, schema):
    for study in (repository / "studies").glob("*.yaml"):
        try:
            validate_config(yaml.safe_load(study.read_text()), schema, repository)
        except ConfigError as error:
            assert all("there is no f" in line for line in str(error).splitlines()), f"{study.name}: {error}"


def test_the_reference_page_is_current(repository, schema):
    committed = (repository / "docs/config.md").read_text(encoding="utf-8")
    assert committed == page(load_schema(schema)), "run: python -m prunetransfer.config.docs"


def test_reading_a_config_loads_nothing_heavy():
    """Every job of a cluster run reads the config again."""
    heavy = ["torch", "snakemake", "pandas", "pyarrow", "matplotlib", "sklearn", "timm"]
    code = f"import prunetransfer.config, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
