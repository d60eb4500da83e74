"""A study's config: checked against the schema before any job runs, its defaults filled in.

What is allowed stands in the schema; this module turns each breach of it into one line: where, what, and what instead.
It imports no torch: the workflow reads the config again in every job.
"""

from __future__ import annotations

import datetime
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import ValidationError

from prunetransfer.config.data_configs import complete_backbones
from prunetransfer.config.in_turn import without_a_dataset_alone
from prunetransfer.config.keywords import KEYWORDS, Study, breaches, dig
from prunetransfer.config.labels import without_labels
from prunetransfer.config.masks import complete_masks
from prunetransfer.config.plugins import needs, with_plugins
from prunetransfer.config.resolving import resolved
from prunetransfer.config.words import must_be, path, types
from prunetransfer.datasets.origins import own_sources
from prunetransfer.pruning.names import GLOBAL, registered_name
from prunetransfer.runtime.messages import show
from prunetransfer.stages.sequences import source_name

DEEPEST = 20
# Key of a dataset that is made from others → its definition in the schema.
MADE_FROM = {"view_of": "view", "mixture_of": "mixture"}
DATA_CONFIGS = "resources/data-configs.json"


class ConfigError(ValueError):
    """The config is not that of a study; the message has one line a problem."""


def validate_config(config: Any, schema: Path | dict, root: Path) -> dict:
    """A copy of `config` with every default filled in, in the schema's order, and floats wherever numbers are allowed.

    Datasets that are made from others hold these (`resolving.resolved`). Sources have the names that tables have.

    schema: the JSON Schema or its file. root: the folder that relative paths start from.
    How a backbone's images are prepared (`data_configs.KEYS`) comes from the model's own data config where it is left
    out; `root` keeps what was asked of timm and torchvision for the next time.
    Raises ConfigError, which lists every problem: its key, the value, what is allowed, and the nearest match.
    """
    problems: list[str] = []
    config = _plain({} if config is None else config, (), (), problems)
    if isinstance(config, dict):
        config.setdefault("masks", {GLOBAL: {}})
    schema = _specialised(with_plugins(load_schema(schema), dig(config, "plugins"), root, problems), config)
    problems += map(_line, breaches(Study(config, schema, root)))
    problems = problems or complete_backbones(config["backbones"], root / DATA_CONFIGS)
    if problems:
        raise ConfigError("\n".join(sorted(set(problems))))
    filled = _filled(config, schema, config)
    filled["sources"] = list(map(source_name, filled["sources"]))
    of_functions = needs(schema, {})
    problems = without_labels(filled, of_functions) + complete_masks(filled, config, of_functions["masks"])
    problems += without_a_dataset_alone(filled, of_functions)
    filled["datasets"] = resolved(filled["datasets"])
    if problems := [*problems, *_seen_targets(filled)]:
        raise ConfigError("\n".join(problems))
    return filled


def _seen_targets(config: dict) -> Iterator[str]:
    """A line for each dataset `beside` a source that shows images of a target: it would no longer be unseen."""
    datasets, targets = config["datasets"], config["targets"]
    for section in ("scores", "recoveries"):
        for name, entry in config[section].items():
            for index, dataset in enumerate((entry or {}).get("beside", ())):
                shown = [target for target, by in own_sources(datasets, [dataset], targets).items() if by]
                if shown:
                    place, others = path([section, name, "beside", index]), "datasets that share none with a target"
                    yield f"{place} = {dataset!r}: it shows images of the target {shown[0]}; allowed are {others}"


def load_schema(schema: Path | dict) -> dict:
    """The schema, from its JSON file where it is not at hand."""
    return schema if isinstance(schema, dict) else json.loads(schema.read_text(encoding="utf-8"))


def _plain(value: Any, at: tuple, parents: tuple, problems: list[str]) -> Any:
    """A copy of `value` that JSON could hold, so that nothing further on is surprised; YAML can hold more."""
    if len(parents) > DEEPEST or any(value is parent for parent in parents):
        problems.append(f"{path(at)}: nested too deeply")
        return None
    if isinstance(value, Mapping):
        strange = [path((*at, show(key))) for key in value if not isinstance(key, str)]
        problems += [f"{place}: YAML does not read this key as text; put it in quotes" for place in strange]
        return {k: _plain(v, (*at, k), (*parents, value), problems) for k, v in value.items() if isinstance(k, str)}
    if isinstance(value, list):
        return [_plain(item, (*at, k), (*parents, value), problems) for k, item in enumerate(value)]
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return math.inf
    if value is not None and not isinstance(value, str | int | float):
        text = value.isoformat() if isinstance(value, datetime.date) else show(value)
        what = f"YAML reads this as a {type(value).__name__}; if it is text, put it in quotes"
        problems.append(f"{path(at)} = {text}: {what}")
        return text
    return value


def _specialised(schema: dict, config: Any) -> dict:
    """`schema` for this very config: each dataset follows the definition of its kind, and so on.

    A score or a recovery that names no function is given its own name, in `config`. What names nothing that is known
    keeps the general rule, which says so.
    """
    properties = dict(schema["properties"])
    for section, choose in (("datasets", _kind), ("scores", _score), ("masks", _mask), ("recoveries", _recovery)):
        entries = dig(config, section)
        if isinstance(entries, dict):
            choices = {name: schema["$defs"][section].get(choose(entries, name)) for name in entries}
            known = {name: definition for name, definition in choices.items() if definition}
            general = properties[section].get("properties", {})
            properties[section] = properties[section] | {"properties": general | known}
    properties["pretrain"] = _with_objectives(properties["pretrain"], schema["$defs"]["pretrain"], config)
    return schema | {"properties": properties}


def _with_objectives(node: dict, objectives: dict, config: Any) -> dict:
    """The node of `pretrain`, in which each recipe takes its objective's keys beside those of every recipe."""
    recipe = node["additionalProperties"]
    entries = dig(config, "pretrain")
    named = {name: dig(entries, name, "objective") for name in entries} if isinstance(entries, dict) else {}
    default = recipe["properties"]["objective"]["default"]
    own = {name: objectives.get(default if objective is None else str(objective)) for name, objective in named.items()}
    return node | {
        "properties": {
            name: recipe | {"properties": recipe["properties"] | takes["properties"]}
            for name, takes in own.items()
            if takes
        }
    }


def _kind(datasets: dict, name: str) -> str:
    entry = datasets[name]
    made_from = [made for key, made in MADE_FROM.items() if isinstance(entry, dict) and key in entry]
    return made_from[0] if made_from else str(dig(entry, "kind"))


def _score(scores: dict, name: str) -> str:
    return _function(scores, name, "score")


def _mask(masks: dict, name: str) -> str:
    pattern = dig(masks, name, "pattern")
    return registered_name("unstructured" if pattern is None else str(pattern))


def _recovery(recoveries: dict, name: str) -> str:
    if "+" in name:
        return "chain"
    return "none" if name == "none" else _function(recoveries, name, "recovery")


def _function(entries: dict, name: str, key: str) -> str:
    if entries[name] is None:
        entries[name] = {}
    return str(entries[name].setdefault(key, name)) if isinstance(entries[name], dict) else ""


def _filled(value: Any, node: Mapping[str, Any], config: dict) -> Any:
    """A valid `value` of `config` with the defaults of its node."""
    if "object" in types(node) and not isinstance(value, int):
        known, others = node.get("properties", {}), node.get("additionalProperties") or {}
        given = {key: child["default"] for key, child in known.items() if "default" in child}
        given |= {key: list(config[child["default_from"]]) for key, child in known.items() if "default_from" in child}
        given |= value or {}
        ordered = [key for key in known if key in given] + [key for key in given if key not in known]
        return {key: _filled(given[key], known.get(key, others), config) for key in ordered}
    if isinstance(value, list) and "items" in node:
        return [_filled(item, node["items"], config) for item in value]
    # Adding 0.0 also turns -0.0 into 0.0: one number is one setting and one file name.
    return value + 0.0 if "number" in types(node) and isinstance(value, int | float) else value


def _line(error: ValidationError) -> str:
    """One problem: where, what is there, what is allowed instead."""
    place = path(error.absolute_path)
    if error.validator == "required":
        return f"{place}: {error.message}"
    own = error.validator in KEYWORDS
    message = error.message if own else must_be(error.instance, error.schema, error.validator)
    return f"{place} = {show(error.instance)}: {message}"
