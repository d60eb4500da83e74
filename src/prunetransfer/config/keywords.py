"""The keywords of the config's schema that JSON Schema lacks, and those that jsonschema reports too coarsely."""

from __future__ import annotations

import math
import os.path
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators

from prunetransfer.config.architectures import unknown_architecture, unknown_weights
from prunetransfer.config.factories import is_factory, unknown_factory
from prunetransfer.config.resolving import way_back
from prunetransfer.config.words import allowed
from prunetransfer.models.packages import PREFIX, package_file, shipped
from prunetransfer.pruning.names import N_OF_M, is_n_of_m, own_sparsity
from prunetransfer.runtime.messages import nearest, no_such
from prunetransfer.stages.code_digest import file_digest
from prunetransfer.stages.sequences import JOINT, WRITTEN, datasets_of, source_name

Errors = Iterator[ValidationError]


@dataclass(frozen=True)
class Study:
    """What a keyword may look at beside the value that it checks."""

    config: Any
    schema: dict
    root: Path


# Sources of weights that are no file.
MADE = ("timm", "random", "pretrain")
LONGEST_SOURCE = 128  # after a score and @, or a chain of recoveries and @
LONGEST_FILE_NAME = 200  # file systems allow 255 with every ending

KEYWORDS: dict[str, Callable[[Study], Callable]] = {}

# Python counts booleans as integers and lets NaN pass every comparison; a config must not.
TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda _, value: type(value) is int,
        "number": lambda _, value: type(value) in (int, float) and math.isfinite(value),
    }
)


def breaches(study: Study) -> Errors:
    """Every error in the study's config. The schema has no `$ref`. The messages of `KEYWORDS` are ours."""
    own = {name: bound(study) for name, bound in KEYWORDS.items()}
    return validators.extend(Draft202012Validator, own, type_checker=TYPES)(study.schema).iter_errors(study.config)


def dig(value: Any, *keys: str) -> Any:
    """What lies under `keys` in nested mappings; None where there is no such place."""
    return reduce(lambda inner, key: inner.get(key) if isinstance(inner, dict) else None, keys, value)


def keyword(kind: type) -> Callable:
    """Register a function as the keyword of its name, for values of type `kind`.

    It is called with the study, jsonschema's validator, the keyword's own value in the schema (`rule`), the value to
    check and its node of the schema, and yields an error for each thing that is wrong.
    """

    def register(function: Callable[..., Errors]) -> Callable[..., Errors]:
        def bound(study: Study) -> Callable:
            return lambda validator, rule, value, node: (
                function(study, validator, rule, value, node) if isinstance(value, kind) else ()
            )

        KEYWORDS[function.__name__] = bound
        return function

    return register


@keyword(dict)
def required(study: Study, validator, rule: list, value: dict, node: dict) -> Errors:
    for key in rule:
        if key not in value:
            yield ValidationError(f"missing; must be {allowed(node['properties'][key])}", path=[key])


@keyword(dict)
def additionalProperties(study: Study, validator, rule: dict | bool, value: dict, node: dict) -> Errors:
    known = node.get("properties", {})
    for key in value.keys() - known.keys():
        if rule is not False:
            yield from validator.descend(value[key], rule, path=key)
            continue
        message = no_such("key", key, known, they_are="allowed")
        if "refuses" in node:
            message = node["refuses"].format_map(value)
        yield ValidationError(message, path=[key], instance=value[key])


@keyword(dict)
def propertyNames(study: Study, validator, rule: dict, value: dict, node: dict) -> Errors:
    for key in value:
        yield from validator.descend(key, rule, path=key)


@keyword(int | float)
def grid(study: Study, validator, rule: bool, value: float, node: dict) -> Errors:
    masks = dig(study.config, "masks")
    entries = list(masks.values()) if isinstance(masks, dict) else []
    grids = [study.config.get("sparsities"), *(dig(entry, "sparsities") for entry in entries)]
    known = [x for of in grids if isinstance(of, list) for x in of if validator.is_type(x, "number")]
    known += [own_sparsity(pattern) for entry in entries if is_n_of_m(pattern := dig(entry, "pattern"))]
    if known and value not in known:  # without any, the sparsities themselves are wrong
        yield ValidationError(no_such(node["noun"], value, list(dict.fromkeys(known))))


@keyword(str)
def n_below_m(study: Study, validator, rule: bool, value: str, node: dict) -> Errors:
    if re.fullmatch(N_OF_M, value) and not is_n_of_m(value):
        yield ValidationError("n must be below m, as in 2:4")


@keyword(list)
def uniqueItems(study: Study, validator, rule: bool, value: list, node: dict) -> Errors:
    distinct = [(isinstance(item, bool), item) for item in value]  # to Python, true is 1
    for index, item in enumerate(value):
        if distinct[index] in distinct[:index]:
            yield ValidationError("is there twice", path=[index], instance=item)


@keyword(object)
def among(study: Study, validator, rule: str, value: Any, node: dict) -> Errors:
    if rule.startswith("$"):  # `view` and `chain` need nothing: they are no functions
        names = [name for name, known in study.schema["$defs"][rule[1:]].items() if "needs" in known]
    else:
        names = dig(study.config, rule)
    if (
        isinstance(names, dict | list)
        and validator.is_type(value, node.get("type", "string"))
        and value not in list(names)
    ):
        yield ValidationError(no_such(node["noun"], value, names))


@keyword(str)
def folder(study: Study, validator, rule: str, value: str, node: dict) -> Errors:
    yield from _missing(study, rule, value, "folder", os.path.isdir)


@keyword(str)
def file(study: Study, validator, rule: str, value: str, node: dict) -> Errors:
    yield from _missing(study, rule, value, "file", os.path.isfile)


def _missing(study: Study, rule: str, value: str, what: str, is_there: Callable[[str], bool]) -> Errors:
    start = study.config.get(rule, study.schema["properties"][rule]["default"])
    if value and start and isinstance(start, str):
        place = os.path.abspath(study.root / start / value)
        # Where the data root is not there at all, a study can still be planned; the job that reads it will say so.
        if os.path.isdir(study.root / start) and not is_there(place):
            yield ValidationError(f"there is no {what} {place!r}")


@keyword(dict)
def made_from(study: Study, validator, rule: bool, value: dict, node: dict) -> Errors:
    for name in value:
        if way := way_back(value, name):
            place, what = [name, "view_of"], "a view"
            if "view_of" not in value[name]:
                place, what = [name, "mixture_of", value[name]["mixture_of"].index(way[1])], "a mixture"
            yield ValidationError(f"{what} of itself: {' → '.join(way)}", path=place, instance=way[1])


@keyword(str)
def sequence(study: Study, validator, rule: str, value: str, node: dict) -> Errors:
    known, names = dig(study.config, rule), value.split(WRITTEN)
    for name in names if isinstance(known, dict) else ():
        if JOINT in name:
            yield ValidationError(f"no such dataset; a sequence is written {WRITTEN.join(datasets_of(name))!r}")
        elif name not in known:
            yield ValidationError(no_such(f"dataset {name!r}" if names[1:] else "dataset", name, known))
    if len(source_name(value)) > LONGEST_SOURCE:
        yield ValidationError(f"longer than the {LONGEST_SOURCE} characters that fit into a file name")


@keyword(dict)
def links(study: Study, validator, rule: bool, value: dict, node: dict) -> Errors:
    known = [name for name in value if name != "none" and "+" not in name]
    for name in value:
        for link in name.split("+"):
            if "+" in name and link not in known:
                yield ValidationError(no_such("recovery", link, known), path=[name], instance=link)


@keyword(str)
def between(study: Study, validator, rule: bool, value: str, node: dict) -> Errors:
    functions = study.schema["$defs"]["recoveries"]
    recoveries = study.config.get("recoveries")
    known = {
        name: dig(functions, str(dig(entry, "recovery")), "needs")
        for name, entry in (recoveries if isinstance(recoveries, dict) else {}).items()
    }
    unlabelled = [name for name, needs in known.items() if needs and not needs["labels"]]
    if value not in unlabelled:
        yield ValidationError(no_such("recovery without labels", value, unlabelled))


@keyword(dict)
def refinable(study: Study, validator, rule: bool, value: dict, node: dict) -> Errors:
    name = value.get("between")
    function = dig(study.config, "recoveries", name, "recovery") if isinstance(name, str) else None
    if value.get("refine") is True and function not in (None, "reconstruct"):
        message = f"needs a reconstruct between the steps, and {name} is a {function}"
        yield ValidationError(message, path=["refine"], instance=True)


@keyword(str)
def checkpoint(study: Study, validator, rule: bool, value: str, node: dict) -> Errors:
    if value.startswith(PREFIX):
        if "/" not in value and value not in shipped():
            yield ValidationError(no_such("file", value, shipped()))
        elif "/" in value:
            try:
                package_file(value)
            except (ValueError, OSError) as error:
                yield ValidationError(str(error))
    elif "://" in value:
        if not value.startswith("https://"):
            yield ValidationError("of addresses, only https:// is fetched")
    elif value.startswith("torchvision:"):
        if not re.fullmatch(r"torchvision:\w+_Weights\.\w+", value):
            yield ValidationError("names no weights; write them as in torchvision:ResNet50_Weights.IMAGENET1K_V2")
        elif problem := unknown_weights(value):
            yield ValidationError(problem)
    elif value not in ("", *MADE):
        place = os.path.abspath(study.root / value)
        if not os.path.isfile(place):
            yield ValidationError(f"there is no file {place!r}{nearest(value, MADE)}")


@keyword(str)
def network(study: Study, validator, rule: bool, value: str, node: dict) -> Errors:
    if value:
        factory = is_factory(value)
        if problem := unknown_factory(value, study.root) if factory else unknown_architecture(value):
            yield ValidationError(problem)


@keyword(dict)
def published(study: Study, validator, rule: bool, value: dict, node: dict) -> Errors:
    architecture = value.get("architecture")
    if dig(value, "weights", "source") == "timm" and isinstance(architecture, str) and ":" in architecture:
        message = f"timm publishes no weights of {architecture!r}, which is no architecture of its own"
        yield ValidationError(message, path=["weights", "source"], instance="timm")


@keyword(dict)
def pinned(study: Study, validator, rule: bool, value: dict, node: dict) -> Errors:
    source = value.get("source")
    if isinstance(source, str) and source.startswith(PREFIX) and value.get("sha256") is None:
        message = f"must be {allowed(node['properties']['sha256'])}, which a package's file needs"
        with suppress(ValueError, OSError):
            message += f"; it is {file_digest(package_file(source))}"
        yield ValidationError(message, path=["sha256"], instance=None)


@keyword(dict)
def substitution(study: Study, validator, rule: bool, value: dict, node: dict) -> Errors:
    for pattern, replacement in value.items():
        if isinstance(replacement, str):
            try:
                re.sub(pattern, replacement, "")
            except (re.error, IndexError) as error:  # of the pattern; of the groups that its replacement names
                yield ValidationError(f"no regular expression with its replacement: {error}")


@keyword(int)
def joined(study: Study, validator, rule: str, value: int, node: dict) -> Errors:
    names = dig(study.config, rule)
    if value > 0 and isinstance(names, list) and all(isinstance(name, str) for name in names):
        groups = ("+".join(names[start : start + value]) for start in range(0, len(names), value))
        if any(len(group) > LONGEST_FILE_NAME for group in groups):
            yield ValidationError(f"the names of so many {rule} do not fit into a file name; fewer or shorter ones do")


@keyword(dict)
def own_recipe(study: Study, validator, rule: str, value: dict, node: dict) -> Errors:
    for name in value:
        source = dig(value, name, "weights", "source")
        if source == "pretrain" and dig(study.config, rule, name) is None:
            message = f"{rule} has no recipe for {name!r}"
            yield ValidationError(message, path=[name, "weights", "source"], instance=source)
