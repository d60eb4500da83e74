"""How the schema and its breaches read in words: for the messages on a wrong config and for the reference page."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from prunetransfer.runtime.messages import nearest, word, words

TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "one of true, false",
    "null": "nothing",
}
NUMBERS = ("integer", "number")
LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "exclusiveMaximum": "below", "maximum": "at most"}


def allowed(node: Mapping[str, Any]) -> str:
    """What a value may be, from its node of the schema."""
    if "allowed" in node:
        return node["allowed"]
    if "enum" in node:
        return ("one of " if len(node["enum"]) > 1 else "") + words(node["enum"])
    return " or ".join(_one_type(kind, node) for kind in types(node))


def must_be(value: Any, node: Mapping[str, Any], keyword: str) -> str:
    """What to say of a value that breaks `keyword` of its node: what is allowed, and what may have been meant."""
    limit = keyword in LIMITS and "allowed" not in node
    return f"must be {_limits(node) if limit else allowed(node)}{_hint(value, node)}"


def types(node: Mapping[str, Any]) -> list[str]:
    kinds = node.get("type", [])
    return [kinds] if isinstance(kinds, str) else kinds


def path(parts: Iterable[str | int]) -> str:
    """A place in the config, as in `recoveries.finetune.sparsities[1]`."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{word(p)}" for p in parts).removeprefix(".") or "config"


def _one_type(kind: str, node: Mapping[str, Any]) -> str:
    if kind == "object":
        if node.get("properties"):
            return f"a mapping with the keys {words(node['properties'])}"
        return "a mapping with at least one entry" if "minProperties" in node else "a mapping"
    if kind == "array":
        least, most = node.get("minItems"), node.get("maxItems")
        size = f" of {least}" if least == most and least else " of at least one" if least else ""
        return f"a list{size}, each {allowed(node['items'])}" + (", none twice" if "uniqueItems" in node else "")
    return f"{TYPES[kind]} {_limits(node) if kind in NUMBERS else ''}".rstrip()


def _limits(node: Mapping[str, Any]) -> str:
    return " and ".join(f"{text} {node[key]}" for key, text in LIMITS.items() if key in node)


def _hint(value: Any, node: Mapping[str, Any]) -> str:
    numeric = {*NUMBERS} & set(types(node))
    if isinstance(value, str):
        number = _yaml_number(value, whole="integer" in numeric) if numeric else None
        return f" ({value!r} is text in YAML; write {number})" if number else nearest(value, node.get("enum", ()))
    if isinstance(value, float) and not math.isfinite(value):
        return " and finite" if numeric else ""
    text = "string" in types(node) and not numeric
    return " (put it in quotes)" if text and isinstance(value, int | float) else ""


def _yaml_number(text: str, whole: bool) -> str | None:
    """How YAML 1.1 wants this number: without quotes, and with a point and a sign where there is an exponent."""
    match = re.fullmatch(r"([-+]?\d+)(\.\d*)?(?:e([-+]?\d{1,3}))?", text, re.ASCII | re.IGNORECASE)
    if match is None:
        return None
    digits, fraction, exponent = match.groups()
    if whole and float(text).is_integer():
        return f"{float(text):.0f}"
    return f"{digits}{fraction or '.0'}e{int(exponent):+d}" if exponent else digits + (fraction or "")
