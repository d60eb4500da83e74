"""What Snakemake loses of a config when it reads it: keys that stand twice, and numbers in a list of `--config`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from prunetransfer.config.validation import ConfigError
from prunetransfer.config.words import path


def refuse_duplicate_keys(files: Sequence[Path | str]) -> None:
    """Raise ConfigError, a line a key with both its lines, where a mapping of a YAML or JSON file has a key twice."""
    problems = [f"{os.path.relpath(file)}: {line}" for file in files for line in _duplicates(Path(file))]
    if problems:
        raise ConfigError("\n".join(problems))


def from_command_line(entries: Sequence[str]) -> dict[str, Any]:
    """The lists and mappings among entries `key=value` of `--config`; Snakemake reads the numbers in them as text."""
    read = {}
    for key, _, value in (entry.partition("=") for entry in entries):
        try:
            content = yaml.safe_load(value)
        except yaml.YAMLError:
            continue
        if isinstance(content, list | dict):
            read[key] = content
    return read


def _duplicates(file: Path) -> Iterator[str]:
    root = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
    todo, seen = [((), root)], set()
    while todo:
        at, node = todo.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            todo += [((*at, place), item) for place, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                name, line = str(key.value), key.start_mark.line + 1
                if name in lines and key.tag != "tag:yaml.org,2002:merge":
                    place = f"{path((*at, name))} is there twice, in lines {lines[name]} and {line}"
                    yield f"{place}; only the latter would count"
                lines.setdefault(name, line)
                todo.append(((*at, name), value))
