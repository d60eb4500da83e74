"""Whether timm or torchvision has a network, read from their source: to import them takes seconds, in every job."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

from prunetransfer.runtime.messages import nearest

TORCHVISION = "torchvision:"
# How a function is registered: the decorator, alone on its line or with arguments over several, then its definition.
REGISTERED = re.compile(r"^@register_model\b.*\n(?:[@ )].*\n)*def (\w+)\(", re.MULTILINE)


def unknown_architecture(architecture: str) -> str | None:
    """What is wrong with the name of a timm architecture (with its tag, if any) or with `torchvision:NAME`.

    A name that the library's source has elsewhere, as an older one or in parts, is let pass: the job will tell.
    """
    library = "torchvision" if architecture.startswith(TORCHVISION) else "timm"
    name, _, tag = architecture.removeprefix(TORCHVISION).partition(".")
    text = _source(library)
    if not any(place in text for place in (f"\ndef {name}(", f"'{name}'", f'"{name}"')):
        return f"{library} has no architecture {name!r}{nearest(name, _registered(library))}"
    if tag not in text:
        tags = re.findall(rf"['\"]{re.escape(name)}\.(\w+)['\"]", text)
        return f"{library} has no weights {tag!r} of {name!r}{nearest(tag, tags)}"
    return None


def unknown_weights(source: str) -> str | None:
    """What is wrong with `torchvision:ENUM.MEMBER`."""
    enum, _, member = source.removeprefix(TORCHVISION).partition(".")
    definition, text = rf"^class {re.escape(enum)}\(WeightsEnum\):\n((?:(?:[ )].*)?\n)*)", _source("torchvision")
    if (found := re.search(definition, text, re.MULTILINE)) is None:
        enums = re.findall(r"^class (\w+)\(WeightsEnum\)", text, re.MULTILINE)
        return f"torchvision has no {enum!r}{nearest(enum, enums)}"
    members = re.findall(r"^    (\w+) = ", found[1], re.MULTILINE)
    return None if member in members else f"{enum} has no {member!r}, only {', '.join(members)}"


@cache
def _registered(library: str) -> list[str]:
    return REGISTERED.findall(_source(library))


@cache
def _source(library: str) -> str:
    (folder,) = importlib.util.find_spec(library).submodule_search_locations
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(Path(folder, "models").rglob("*.py")))
