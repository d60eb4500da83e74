"""The config validator against what nobody thought of: it answers in words, and what it accepts can be planned."""

from __future__ import annotations

import copy
import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.configs import VALID

from prunetransfer.config import ConfigError, validate_config, validation
from prunetransfer.config.data_configs import KEYS
from prunetransfer.datasets.downloads import folder_of, origin
from prunetransfer.pruning.names import decimal, mask_name
from prunetransfer.stages.sequences import datasets_of

MORE = {
    "datasets": {
        "half": {"view_of": "mine", "limit": {"train": 10}},
        "quarter": {"view_of": "half", "classes": [0, "b"]},
        "both": {"mixture_of": ["digits", "quarter"]},
        "part": {"view_of": "both", "limit": 9},
        "cifar": {"kind": "torchvision", "name": "CIFAR10"},
        "hub": {"kind": "huggingface", "name": "uoft-cs/cifar10", "subset": "plain"},
    },
    "masks": {"global": {}, "erk": {"allocation": "erk"}, "nm": {"pattern": "2:4"}, "units": {"pattern": "channels"}},
    "recoveries": {"moments": {}, "broad": {"recovery": "reconstruct"}, "broad+moments": {"sparsities": [0.3]}},
}
BASE = VALID | {key: VALID.get(key, {}) | entries for key, entries in MORE.items()}
NAMES = [
    "net",
    "digits",
    "mine",
    "half",
    "quarter",
    "magnitude",
    "block-1",
    "none",
    "moments",
    "broad+moments",
    "view_of",
    "mixture_of",
    "digits then half",
]
ODD = [
    "",
    ".",
    "..",
    "a/b",
    "a b",
    "-",
    "~",
    "é",
    "a\n",
    "\0",
    "\ud800",
    "%s",
    "{x}",
    "a" * 64,
    "a" * 300,
    "auto",
    "1e-3",
]
SCALARS = st.one_of(
    st.sampled_from([None, True, False, 0, -1, 1, 10**9, 2**64, 10**400, -(10**400), 0.5, -0.0, 1e-9, 5e-324, 1e308]),
    st.sampled_from([float("nan"), float("inf"), datetime.date(2025, 1, 1), b"\xff", NAMES]),
    st.sampled_from(NAMES + ODD),
    st.floats(),
    st.integers(),
    st.text(max_size=8),
)
KEYS_OF_YAML = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5))
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES + ODD) | KEYS_OF_YAML, inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, at: tuple = ()) -> Iterator[tuple]:
    """Every place inside a config, but the config as a whole."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield (*at, key)
        yield from places(child, (*at, key))


def dig(config: Any, place: tuple) -> Any:
    for key in place:
        config = config[key]
    return config


@st.composite
def mutated(draw) -> Any:
    """A valid config with one to three changes: a value replaced, removed, moved or doubled, a key renamed or added."""

    def value() -> Any:
        """A copy: a later change must not be one of the value that other examples draw."""
        return copy.deepcopy(draw(VALUES))

    config = copy.deepcopy(BASE)
    for _ in range(draw(st.integers(1, 3))):
        *parents, key = draw(st.sampled_from(sorted(places(config), key=repr)))
        parent = dig(config, tuple(parents))
        change = draw(st.sampled_from(["replace", "remove", "rename", "add", "copy", "wrap"]))
        if change == "replace":
            parent[key] = value()
        elif change == "remove":
            del parent[key]
        elif change == "copy":
            parent[key] = copy.deepcopy(dig(config, draw(st.sampled_from(sorted(places(config), key=repr)))))
        elif change == "wrap":
            parent[key] = draw(st.sampled_from([[parent[key]], {"view_of": parent[key]}, {key: parent[key]}]))
        elif isinstance(parent, dict):
            name = draw(st.sampled_from(NAMES + ODD) | KEYS_OF_YAML)
            parent[name] = parent.pop(key) if change == "rename" else value()
        else:
            parent.append(value())
    return config


@pytest.fixture(scope="module")
def schema(repository: Path) -> dict:
    return validation.load_schema(repository / "workflow/schemas/config.schema.json")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / "net.pt").touch()
    (folder / "mine").mkdir()
    return folder


@pytest.fixture(autouse=True)
def no_data_configs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks timm, which takes seconds."""
    usual = BASE["backbones"]["own"]

    def complete(backbones: dict, cache: Path) -> list[str]:
        for entry in backbones.values():
            entry |= {key: usual[key] for key in KEYS if key not in entry}
        return []

    monkeypatch.setattr(validation, "complete_backbones", complete)


def parts_of_paths(config: dict) -> Iterator[str]:
    """The parts of the paths that a study's files have, as workflow/rules/common.smk puts them together."""
    yield config["study"]
    for section in ("backbones", "datasets"):
        yield from config[section]
    for section in ("scores", "recoveries"):
        yield from (f"{name}@{source}" for name in config[section] for source in config["sources"])
    step = config["targets_per_job"]
    yield from ("+".join(config["targets"][start : start + step]) for start in range(0, len(config["targets"]), step))
    for name, entry in config["masks"].items():
        yield from (mask_name(name, sparsity) for sparsity in entry["sparsities"])
    for dataset in config["datasets"]:
        for backbone in config["backbones"].values():
            yield f"{dataset}-{backbone['size']}-{backbone['interpolation']}-{decimal(backbone['crop'])}"
    for entry in config["datasets"].values():
        keys = {"torchvision": ["name"], "huggingface": ["name", "subset", "revision"]}.get(entry["kind"], [])
        if source := origin(entry, keys):
            yield from folder_of(source, Path()).parts


@settings(max_examples=400, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_any_config_is_accepted_or_refused_in_words(schema, root, config):
    try:
        accepted = validate_config(config, schema, root)
    except ConfigError as error:
        lines = str(error).splitlines()
        assert lines and len(lines) <= 200 and max(map(len, lines)) <= 1000, error
        return
    # What a job may be handed, and what every file name may hold.
    assert json.loads(json.dumps(accepted)) == accepted
    assert yaml.safe_load(yaml.safe_dump(accepted)) == accepted
    for part in parts_of_paths(accepted):
        assert re.fullmatch(r"[A-Za-z0-9_][\w.@+-]*", part, re.ASCII) and len(part) <= 200, part
    seen = {name for source in accepted["sources"] for name in datasets_of(source)}
    assert seen | set(accepted["targets"]) <= accepted["datasets"].keys()
    assert not any(entry.keys() & {"view_of", "mixture_of"} for entry in accepted["datasets"].values())
    grid = {sparsity for entry in accepted["masks"].values() for sparsity in entry["sparsities"]}
    for recovery in accepted["recoveries"].values():
        assert set(recovery.get("sparsities", [])) <= grid | set(accepted["sparsities"])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("sparsities/0", 5e-324),
        ("backbones/net/crop", 1e-300),
        ("backbones/net/size", 10**9),
        ("recoveries", {"none": {}, **dict.fromkeys(["moments", "+".join(["moments"] * 30)])}),
        ("datasets/hub/name", ".."),
        ("datasets/hub/name", "../cifar10"),
        ("datasets/hub/subset", "a\n"),
    ],
)
def test_what_no_file_name_can_hold_is_refused(schema, root, place, value):
    config = copy.deepcopy(BASE)
    *parents, key = place.split("/")
    parent = dig(config, tuple(parents))
    parent[int(key) if isinstance(parent, list) else key] = value
    with pytest.raises(ConfigError, match=re.escape(parents[0] if parents else key)):
        validate_config(config, schema, root)


def test_targets_whose_names_do_not_fit_into_one_file_name_are_refused(schema, root):
    names = [f"{'digits' * 10}{k}" for k in range(4)]
    config = BASE | {"datasets": BASE["datasets"] | {name: {"kind": "digits"} for name in names}, "targets": names}
    assert validate_config(config | {"targets_per_job": 3}, schema, root)["targets"] == names
    with pytest.raises(ConfigError, match="targets_per_job = 4: the names of so many targets do not fit"):
        validate_config(config | {"targets_per_job": 4}, schema, root)


def test_a_config_that_holds_itself_is_refused(schema, root):
    config = copy.deepcopy(BASE)
    config["datasets"]["mine"] = config
    with pytest.raises(ConfigError, match="nested too deeply"):
        validate_config(config, schema, root)
