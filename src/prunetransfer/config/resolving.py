"""What the entries of `datasets` are that are made from others: views, and mixtures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prunetransfer.datasets.mixtures import KIND

Entry = dict[str, Any]

# How images are prepared, which is done once for all parts of a mixture.
OF_PREPARATION = ("allow_overlap", "skip_unreadable")


def resolved(datasets: Mapping[str, Entry]) -> dict[str, Entry]:
    """The entries, none of which names another one. datasets: those of a config that follows the schema.

    A view becomes its base's entry with the view's own settings at the end of the list `selections`. Its head is its
    base's, unless it has one of its own: the head's `views` says how many selections precede the classes that it
    numbers. A mixture becomes one with `parts`, name → the part's own entry without its head; what one part allows of
    how images are prepared is allowed of all.
    """
    return {name: _resolved(datasets, name) for name in datasets}


def _resolved(datasets: Mapping[str, Entry], name: str) -> Entry:
    entry = dict(datasets[name])
    head = entry.pop("head", None)
    if "view_of" in entry:
        base = _resolved(datasets, entry.pop("view_of"))
        entry = base | {"selections": [*base.get("selections", []), entry]}
    elif "mixture_of" in entry:
        entry = _mixture({part: _resolved(datasets, part) for part in entry["mixture_of"]})
    return entry | ({"head": head | {"views": len(entry.get("selections", []))}} if head else {})


def _mixture(parts: Mapping[str, Entry]) -> Entry:
    allowed = {key: True for key in OF_PREPARATION if any(part.get(key) for part in parts.values())}
    own = {
        name: {key: value for key, value in part.items() if key not in ("head", *OF_PREPARATION)}
        for name, part in parts.items()
    }
    return {"kind": KIND, "parts": own, **allowed}


def way_back(datasets: Mapping[str, Any], name: str) -> list[str]:
    """The datasets from one to itself, each made from the next, by the shortest way; empty where there is none.

    datasets: of a config that need not follow the schema.
    """
    ways, met = [[name]], set()
    for way in ways:
        for base in _bases(datasets.get(way[-1])):
            if base == name:
                return [*way, base]
            if base not in met:
                met.add(base)
                ways.append([*way, base])
    return []


def _bases(entry: Any) -> list[str]:
    """What an entry names as what it is made from."""
    if not isinstance(entry, dict):
        return []
    named = [entry["view_of"]] if "view_of" in entry else entry.get("mixture_of")
    return [base for base in named if isinstance(base, str)] if isinstance(named, list) else []
