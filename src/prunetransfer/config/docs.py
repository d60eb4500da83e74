"""The reference page of the config, made from its schema: run `python -m prunetransfer.config.docs` in the project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from prunetransfer.config.validation import load_schema
from prunetransfer.config.words import allowed, types

SCHEMA = Path("workflow/schemas/config.schema.json")
PAGE = Path("docs/config.md")
INTRODUCTION = """# Every key of the config

<!-- Made by `python -m prunetransfer.config.docs` from workflow/schemas/config.schema.json, which is made itself. -->

A study is one YAML file: `config.yaml`, or the one that `--configfile` names. It is checked before any job runs; a
wrong one is answered with one line a problem. `<name>` is {name}.

In YAML a number with an exponent needs a point and a sign: `1.0e-4` is a number, `1e-4` is text.
"""
HEADER = "| key | allowed | default | meaning |\n| --- | --- | --- | --- |\n"


def page(schema: Mapping[str, Any]) -> str:
    """The page's Markdown. schema: one of `load_schema`."""
    sections = {key: node for key, node in schema["properties"].items() if "object" in types(node)}
    plain = {key: node for key, node in schema["properties"].items() if key not in sections}
    introduction = INTRODUCTION.format(name=allowed(schema["properties"]["study"]))
    parts = [introduction, "## The study\n", _table(schema | {"properties": plain})]
    for key, node in sections.items():
        absent = "Required." if key in schema["required"] else "Optional."
        presence = f"Default: {_default(node)}." if "default" in node else absent
        parts += [f"## {key}\n\n{node['description']} {presence}\n", _table(node, key)]
        if isinstance(node["additionalProperties"], dict):
            shared = node["additionalProperties"]["properties"]
            for name, definition in schema["$defs"].get(key, {}).items():
                own = {k: child for k, child in definition.get("properties", {}).items() if k not in shared}
                parts.append(f"### {key}: {name}\n\n{definition['description']}{'' if own else ' No further keys.'}\n")
                parts += [_table(definition | {"properties": own}, f"{key}.<name>")] if own else []
    return "\n".join(parts)


def _table(node: Mapping[str, Any], at: str = "") -> str:
    return HEADER + "".join(_rows(node, at))


def _rows(node: Mapping[str, Any], at: str) -> Iterator[str]:
    for key, child in node.get("properties", {}).items():
        place = f"{at}.{key}".removeprefix(".")
        default = "required" if key in node.get("required", ()) else _default(child)
        yield f"| `{place}` | {allowed(child)} | {default} | {child['description']} |\n"
        yield from _rows(child, place)
    if isinstance(node.get("additionalProperties"), dict):
        yield from _rows(node["additionalProperties"], f"{at}.<name>")


def _default(node: Mapping[str, Any]) -> str:
    if "default_from" in node:
        return f"the study's `{node['default_from']}`"
    if "default_of_model" in node:
        return "the model's own"
    if "default" not in node:
        return ""
    text = yaml.safe_dump(node["default"], default_flow_style=True).removesuffix("...\n").strip()
    return f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(page(load_schema(SCHEMA)), encoding="utf-8")
