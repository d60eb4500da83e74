"""What the entries of `masks` have that depends on their patterns: sparsities of their own, and scores that can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prunetransfer.config.words import path
from prunetransfer.pruning.names import is_n_of_m, own_sparsity, registered_name
from prunetransfer.runtime.messages import show


def complete_masks(filled: dict[str, Any], given: Mapping[str, Any], needs: Mapping[str, Any]) -> list[str]:
    """Put each entry's sparsities and scores in place, and the sparsities of recoveries that are tried at all of them;
    a line for each that is given and cannot be.

    filled: a config that follows the schema, with its defaults; given: the same without them; needs: pattern → what it
    needs.
    """
    problems = []
    for name, entry in filled["masks"].items():
        own = given["masks"][name] or {}
        problems += _wrong(name, entry, own, filled["scores"], needs)
        if is_n_of_m(entry["pattern"]):
            entry["sparsities"] = [own_sparsity(entry["pattern"])]
        entry["scores"] = [
            score
            for score in entry["scores"]
            if _can(filled["scores"][score], needs[registered_name(entry["pattern"])])
        ]
    grid = dict.fromkeys(sparsity for entry in filled["masks"].values() for sparsity in entry["sparsities"])
    for name, entry in filled["recoveries"].items():
        if name != "none":
            entry.setdefault("sparsities", list(grid))
    return problems


def _wrong(
    name: str, entry: Mapping[str, Any], given: Mapping[str, Any], scores: Mapping[str, Any], needs: Mapping[str, Any]
) -> Iterator[str]:
    pattern = entry["pattern"]
    if is_n_of_m(pattern) and given.get("sparsities") is not None:
        place = path(["masks", name, "sparsities"])
        only = f"must be left out, as a {pattern} mask has {own_sparsity(pattern)}"
        yield f"{place} = {show(given['sparsities'])}: {only}"
    for index, score in enumerate(given.get("scores") or ()):
        if not _can(scores[score], needs[registered_name(pattern)]):
            allowed = [other for other in scores if _can(scores[other], needs[registered_name(pattern)])]
            yield (
                f"{path(['masks', name, 'scores', index])} = {show(score)}: its steps are not made with the pattern "
                f"{pattern}; allowed are {', '.join(allowed) or 'none'}"
            )


def _can(score: Mapping[str, Any], needs: Mapping[str, Any]) -> bool:
    """Has a score masks of a pattern that needs this?"""
    steps = score.get("steps")
    return not steps or needs["refinable" if steps["refine"] else "steps"]
