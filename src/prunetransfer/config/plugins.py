"""Files of the user's own, the config's `plugins`: what they register is added to the schema."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prunetransfer.config.factories import factory_digest
from prunetransfer.config.words import path
from prunetransfer.runtime.messages import show
from prunetransfer.settings.registry import REGISTRY, import_file

Definitions = dict[str, dict[str, dict[str, Any]]]  # section → name → its node of the schema


def with_plugins(schema: dict, files: Any, root: Path, problems: list[str]) -> dict:
    """The schema with what the files define; `problems` gets a line for each that is wrong. root: where paths start."""
    added: Definitions = {section: {} for section in schema["$defs"]}
    for index, file in enumerate(files if isinstance(files, list) else ()):
        try:
            for section, functions in _definitions(file, root).items():
                for name in functions:
                    if name in schema["$defs"][section] or name in added[section]:
                        raise ValueError(f"{section} has {name!r} already; give yours another name")
                added[section] |= functions
        except ValueError as error:
            problems.append(f"{path(['plugins', index])} = {show(file)}: {error}")
    if not any(added.values()):
        return schema
    properties = dict(schema["properties"])
    names = [*properties["readouts"]["items"]["enum"], *added["readouts"]]
    properties["readouts"] = properties["readouts"] | {"items": {"enum": names}}
    definitions = {section: known | added[section] for section, known in schema["$defs"].items()}
    return schema | {"properties": properties, "$defs": definitions}


def pinned_plugins(files: list[str], root: Path) -> dict[str, dict[str, Any]]:
    """File → `code`, a digest of its source and of what it imports, and `needs`: section → name → what that needs.

    For files that `with_plugins` has found right; what a job is told of them. Raises SyntaxError as `factory_digest`.
    """
    pinned = {}
    for file in files:
        found = _definitions(file, root)
        needs = {section: {name: node["needs"] for name, node in nodes.items()} for section, nodes in found.items()}
        pinned[file] = {"code": factory_digest(f"{file}:", root), "needs": needs}
    return pinned


def needs(schema: Mapping[str, Any], plugins: Mapping[str, Mapping[str, Any]]) -> Definitions:
    """Section → name → what a function needs, of the package's own and of `pinned_plugins`.

    Of a plugin's function also `plugin`: its file, and the digest of its code.
    """
    known = {
        section: {name: node["needs"] for name, node in nodes.items() if "needs" in node}
        for section, nodes in schema["$defs"].items()
    }
    for file, pinned in plugins.items():
        plugin = {"plugin": {"file": file, "code": pinned["code"]}}
        for section, functions in pinned["needs"].items():
            known[section] |= {name: own | plugin for name, own in functions.items()}
    return known


def _definitions(file: Any, root: Path) -> Definitions:
    """What a file registers. Raises ValueError, in one line, where it cannot be used."""
    if not isinstance(file, str):
        return {}  # which the schema refuses
    place = Path(os.path.abspath(root / file))
    if not place.is_file():
        raise ValueError(f"there is no file {str(place)!r}")
    try:
        module = import_file(place)
    except (Exception, SystemExit) as error:
        raise ValueError(_in_words(error, place)) from None
    from prunetransfer.config.schema import definitions  # imports pydantic

    found = {
        section: {name: entry for name, entry in entries.items() if entry.function.__module__ == module}
        for section, entries in REGISTRY.items()
    }
    if found["views"]:
        raise ValueError(f"{next(iter(found['views']))}: only the package's own steps change a view")
    if fetching := [name for name, entry in found["datasets"].items() if entry.needs["downloaded_by"]]:
        raise ValueError(f"{fetching[0]}: only the package's own kinds of dataset are downloaded")
    if not any(found.values()):
        raise ValueError("registers nothing: its functions need a decorator of prunetransfer.settings.registry")
    try:
        return {section: definitions(section, entries) for section, entries in found.items() if entries}
    except Exception as error:  # what stands in an annotation may be anything
        raise ValueError(_in_words(error, place)) from None


def _in_words(error: BaseException, file: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"{os.path.basename(error.filename or file)}, line {error.lineno}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    return f"line {lines[-1]}: {text}" if lines else text
