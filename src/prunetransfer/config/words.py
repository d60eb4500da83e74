"""How the schema and its breaches read in words: for the messages on a wrong config and for the reference page."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

TYPES = {"integer": "a whole number", "number": "a number", "string": "text", "null": "nothing"}
LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "exclusiveMaximum": "below", "maximum": "at most"}
LONGEST = 60


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


def no_such(what: str, value: Any, names: Collection[Any], they_are: str = "defined") -> str:
    """What to say of a name that is none of `names`."""
    choice = f"{they_are} are {words(names)}" if names else f"none is {they_are}"
    return f"no such {what}; {choice}{nearest(value, names)}"


def nearest(value: Any, names: Iterable[Any]) -> str:
    """The question that offers the most similar of `names`; nothing where none is similar."""
    names = {name.lower(): name for name in names if isinstance(name, str)}
    close = difflib.get_close_matches(value.lower(), names, n=1) if isinstance(value, str) else []
    return f". Did you mean {names[close[0]]!r}?" if close else ""


def types(node: Mapping[str, Any]) -> list[str]:
    kinds = node.get("type", [])
    return [kinds] if isinstance(kinds, str) else kinds


def path(parts: Iterable[str | int]) -> str:
    """A place in the config, as in `recoveries.finetune.sparsities[1]`."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{_word(p)}" for p in parts).removeprefix(".") or "config"


def words(items: Iterable[Any]) -> str:
    return ", ".join(map(_word, items))


def abridged(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def show(value: Any) -> str:
    """A value on one line, shortened; true, false and null as YAML writes them, text in quotes."""
    try:
        text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    except ValueError:  # Python refuses to print integers of more than 4300 digits, which YAML can hold
        text = "(too many digits)"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _word(item: Any) -> str:
    return item if isinstance(item, str) and re.fullmatch(r"[\w.@:+-]{1,80}", item) else show(item)


def _one_type(kind: str, node: Mapping[str, Any]) -> str:
    if kind == "object":
        if node.get("properties"):
            return f"a mapping with the keys {words(node['properties'])}"
        return "a mapping with at least one entry" if "minProperties" in node else "a mapping"
    if kind == "array":
        least, most = node.get("minItems"), node.get("maxItems")
        size = f" of {least}" if least == most and least else " of at least one" if least else ""
        return f"a list{size}, each {allowed(node['items'])}" + (", none twice" if "uniqueItems" in node else "")
    return f"{TYPES[kind]} {_limits(node)}".rstrip()


def _limits(node: Mapping[str, Any]) -> str:
    return " and ".join(f"{text} {node[key]}" for key, text in LIMITS.items() if key in node)


def _hint(value: Any, node: Mapping[str, Any]) -> str:
    numeric = {"integer", "number"} & set(types(node))
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
