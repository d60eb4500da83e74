"""How names and values read in a message: in one line, shortened, with the nearest match."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

LONGEST = 60


def no_such(what: str, value: Any, names: Collection[Any], they_are: str = "defined") -> str:
    """What to say of a name that is none of `names`."""
    choice = f"{they_are} are {words(names)}" if names else f"none is {they_are}"
    return f"no such {what}; {choice}{nearest(value, names)}"


def nearest(value: Any, names: Iterable[Any]) -> str:
    """The question that offers the most similar of `names`; nothing where none is similar."""
    names = {name.lower(): name for name in names if isinstance(name, str)}
    close = difflib.get_close_matches(value.lower(), names, n=1) if isinstance(value, str) else []
    return f". Did you mean {names[close[0]]!r}?" if close else ""


def words(items: Iterable[Any]) -> str:
    return ", ".join(map(word, items))


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


def word(item: Any) -> str:
    return item if isinstance(item, str) and re.fullmatch(r"[\w.@:+-]{1,80}", item) else show(item)
