"""A study that extends another: one mapping of both, in which the study's own keys win."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from prunetransfer.config.validation import DEEPEST, ConfigError
from prunetransfer.runtime.messages import show

KEY = "extends"


def read_study(file: Path) -> dict[str, Any]:
    """The config of a study's file, with what it extends. Raises ConfigError as `extended`."""
    return extended(_content(file), [file])


def extended(config: Mapping[str, Any], files: Sequence[Path | str]) -> dict[str, Any]:
    """`config`, which was read from `files`, on top of the studies that these extend.

    Mappings are joined key by key; anything else takes the place of what the other study has, and null takes it away.
    Raises ConfigError, in one line, where a path leads to no file, to one that is no study, or back to itself.
    """
    base: dict[str, Any] = {}
    for file in files:
        for ancestor in reversed(family(file)[1:]):
            base = joined(base, _content(ancestor))
    if KEY in config and not any(KEY in _content(Path(file)) for file in files):
        raise ConfigError(f"{KEY} = {show(config[KEY])}: belongs into a file, whose folder the path starts at")
    whole = joined(base, config)
    whole.pop(KEY, None)
    return whole


def family(file: Path | str) -> list[Path]:
    """The file of a study, the one that it extends, the one that this extends, and so on."""
    chain = [Path(os.path.abspath(file))]
    while KEY in (content := _content(chain[-1])):
        own, target = os.path.relpath(chain[-1]), content[KEY]
        about = f"{own}: {KEY} = {show(target)}"
        if not isinstance(target, str) or not target:
            raise ConfigError(f"{about}: must be text that is not empty")
        place = Path(os.path.abspath(chain[-1].parent / target))
        if not place.is_file():
            raise ConfigError(f"{about}: there is no file {str(place)!r}")
        if place in chain:
            names = [os.path.relpath(path) for path in [*chain[chain.index(place) :], place]]
            raise ConfigError(f"{about}: a study that extends itself: {' → '.join(names)}")
        chain.append(place)
    return chain


def joined(base: Mapping[Any, Any], own: Mapping[Any, Any], deepest: int = DEEPEST) -> dict[Any, Any]:
    """Both mappings, `own` winning; a null takes a key of `base` away. deepest: further down `own` stands alone."""
    both = dict(base)
    for key, value in own.items():
        if value is None and key in base:
            del both[key]
        elif isinstance(value, dict) and isinstance(base.get(key), dict) and deepest:
            both[key] = joined(base[key], value, deepest - 1)
        else:
            both[key] = value
    return both


def _content(file: Path) -> dict[Any, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{os.path.relpath(file)}: not readable as YAML: {' '.join(str(error).split())}") from None
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{os.path.relpath(file)}: must be a mapping of a study's keys")
    return content or {}
