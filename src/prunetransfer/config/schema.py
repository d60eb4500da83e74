"""The schema of a study's config, made from the Python that declares it: run `python -m prunetransfer.config.schema`.

`config.study`, `config.sections`, `config.entries` and `config.tried` have the keys that belong to no function, the
registered functions (`settings.registry`) have their own settings. What they need stands beside these, under `$defs`,
so that a plan imports none of them.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, create_model

from prunetransfer.config.entries import Dataset, Mixture, Quadratic, Recipe, Score, Unlabelled, View
from prunetransfer.config.study import Study
from prunetransfer.config.tried import Chain, Mask, Nothing, Recovery
from prunetransfer.config.words import types
from prunetransfer.settings.registry import MODULES, PACKAGE, REGISTRY, Entry, keywords, names

SCHEMA = Path("workflow/schemas/config.schema.json")
MADE = f"Made by `python -m {PACKAGE}.config.schema`; edit the Python that declares the settings instead."
PLACES = ("data_root", "folder")  # what a kind of dataset is given beside its settings
OR_NULL = {"type": ["object", "null"]}
SHARED = {"datasets": Dataset, "scores": Score, "masks": Mask, "recoveries": Recovery}


def config_schema() -> dict[str, Any]:
    """The JSON Schema of a config. Imports all that is registered, torch and the extra `pretraining` included."""
    from prunetransfer.training.pretraining import pretrain

    for section in MODULES:
        names(section)
    study = node_of(Study)
    properties, entries = study["properties"], {section: definitions(section, _own(section)) for section in MODULES}
    steps = sorted(REGISTRY["views"].items(), key=lambda step: step[1].needs["place"])
    keys = {name: _field(_told(entry.function), entry.function) for name, entry in steps}
    view = create_model("View", __base__=View, __doc__=View.__doc__, **keys)
    entries["datasets"] |= {"view": node_of(view), "mixture": node_of(Mixture)}
    entries["recoveries"] |= {"none": node_of(Nothing) | OR_NULL, "chain": node_of(Chain) | OR_NULL}
    properties["recoveries"]["properties"] = {"none": entries["recoveries"]["none"]}
    properties["readouts"]["items"] = {"enum": list(entries["readouts"])}
    recipe = node_of(create_model("Recipe", __base__=Recipe, **_fields(pretrain)))
    objective = {key: value for key, value in recipe["properties"]["objective"].items() if key != "type"}
    recipe["properties"]["objective"] = objective | {"enum": list(entries["pretrain"])}
    properties["pretrain"]["additionalProperties"] = recipe
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$comment": MADE}
    return draft | study | {"$defs": entries}


def definitions(section: str, entries: Mapping[str, Entry]) -> dict[str, dict[str, Any]]:
    """Name → the settings of a registered function, with the keys that all of its section share, and what it needs."""
    return {name: _definition(section, name, entry) for name, entry in entries.items()}


def _definition(section: str, name: str, entry: Entry) -> dict[str, Any]:
    text = inspect.getdoc(entry.function) or ""
    about = {"description": " ".join(text.partition("\n\n")[0].split())}
    if section == "views":
        return about | {"needs": dict(entry.needs)}
    if section == "readouts":
        keys = [p.name for p in keywords(entry.function)]
        return about | {"needs": {**entry.needs, "keys": keys}}
    own = node_of(create_model(name, __base__=_bases(section, entry), **_fields(entry.function)))
    own = {key: value for key, value in own.items() if key != "description"}
    if section == "pretrain":
        return about | {"properties": own["properties"], "needs": dict(entry.needs)}
    shared = node_of(SHARED[section])["properties"]
    if section == "datasets":
        shared["kind"] = {"description": "The kind.", "enum": [name]}
    inner = own["properties"]
    if section == "datasets":  # how images are prepared comes last
        inner = {p.name: inner[p.name] for p in keywords(entry.function) if p.name in inner} | inner
    own["properties"] = inner | shared if section == "recoveries" else shared | inner
    if section == "scores" and entry.needs["sees"] is None and not keywords(entry.function):
        own["refuses"] = f"{{score}} reads no data; allowed are {', '.join(own['properties'])}"
    if section in ("scores", "masks", "recoveries"):  # an entry left empty
        own |= OR_NULL
    return about | own | {"additionalProperties": False, "needs": dict(entry.needs)}


def _bases(section: str, entry: Entry) -> tuple[type[BaseModel], ...]:
    """The models of settings that a function takes beside its own."""
    sees_images = {"scores": {"sees": "images"}, "recoveries": {"labels": False}}.get(section)
    taken = {
        entry.model: entry.model is not None,
        Unlabelled: sees_images is not None and sees_images.items() <= entry.needs.items(),
        Quadratic: entry.needs.get("quadratic", False),
        BaseModel: True,
    }
    return tuple(model for model, is_taken in taken.items() if is_taken)


def _own(section: str) -> dict[str, Entry]:
    """The package's own functions, in an order that does not depend on what was imported first."""
    own = [(name, e) for name, e in REGISTRY[section].items() if e.function.__module__.startswith(f"{PACKAGE}.")]
    return dict(sorted(own, key=lambda pair: pair[1].function.__module__))


def _fields(function: Callable) -> dict[str, Any]:
    return {p.name: _field(p, function) for p in keywords(function) if p.name not in PLACES}


def _told(step: Callable) -> inspect.Parameter:
    """What a step of a view is told: its second parameter."""
    return list(inspect.signature(step).parameters.values())[1]


def _field(parameter: inspect.Parameter, function: Callable) -> Any:
    """The type of a parameter, with its default if it has one, as pydantic takes them. Raises ValueError where it has
    no type."""
    annotation = parameter.annotation
    if annotation is parameter.empty:
        raise ValueError(f"{function.__name__}: its setting {parameter.name} has no type")
    if isinstance(annotation, str):
        code = inspect.unwrap(function.__init__ if inspect.isclass(function) else function)
        annotation = eval(annotation, code.__globals__)
    return annotation if parameter.default is parameter.empty else (annotation, parameter.default)


def node_of(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model, in one piece: pydantic's, with one list of types where that has `anyOf`."""
    schema = model.model_json_schema()
    inner = schema.pop("$defs", {})

    def inlined(node: Any) -> Any:
        if isinstance(node, list):
            return [inlined(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            return inlined(inner[name] | {key: value for key, value in node.items() if key != "$ref"})
        return {key: inlined(value) for key, value in node.items()}

    return _tidy(inlined(schema))


def _tidy(node: dict[str, Any]) -> dict[str, Any]:
    node = {key: value for key, value in node.items() if key != "title"}
    if "patternProperties" in node:
        ((pattern, values),) = node.pop("patternProperties").items()
        node |= {"additionalProperties": values, "propertyNames": node.get("propertyNames", {}) | {"pattern": pattern}}
    if node.get("additionalProperties") is True:
        del node["additionalProperties"]
    for key in ("items", "additionalProperties", "propertyNames"):
        if isinstance(node.get(key), dict):
            node[key] = _tidy(node[key])
    if "properties" in node:
        node["properties"] = {name: _tidy(child) for name, child in node["properties"].items()}
        _lift_exclusions(node)
    if "anyOf" in node:
        members = [_tidy(member) for member in node.pop("anyOf")]
        node = {key: value for member in members for key, value in member.items()} | node
        node["type"] = [kind for member in members for kind in types(member)]
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "enum" in node:
        node.pop("type", None)
    if node.get("default", ...) is None and "null" not in types(node):
        del node["default"]
    if "description" in node:
        node = {"description": ""} | node | {"description": " ".join(node["description"].split())}
    return node


def _lift_exclusions(node: dict[str, Any]) -> None:
    """A property that is left out where another has some value: what JSON Schema says of the object, not of it."""
    rules = []
    for name, child in node["properties"].items():
        if rule := child.pop("left_out", None):
            ((other, value),) = rule["where"].items()
            by_default = node["properties"][other].get("default") == value
            condition = value if isinstance(value, dict) else {"enum": [value]}
            where = {"properties": {other: condition}} | ({} if by_default else {"required": [other]})
            absent = {"enum": [child["default"]], "allowed": f"left out, {rule['why']}"}
            rules.append({"if": where, "then": {"properties": {name: absent}}})
    if rules:
        node["allOf"] = rules


def written(schema: Mapping[str, Any]) -> str:
    """The schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(written(config_schema()), encoding="utf-8")
