"""Sources that are sequences: what a study asks for that no sequence has, where it has no other source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prunetransfer.config.words import path
from prunetransfer.pruning.names import registered_name
from prunetransfer.runtime.messages import show, words
from prunetransfer.stages.sequences import is_sequence


def without_a_dataset_alone(config: Mapping[str, Any], needs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line for each score and each entry of `masks` that would have no mask, as every source is a sequence.

    config: one that follows the schema, with its defaults; needs: section → name → what a function needs.
    """
    if not all(map(is_sequence, config["sources"])):
        return
    alone = "and `sources` has no dataset alone"
    scores, patterns = config["scores"], needs["masks"]
    for name, entry in scores.items():
        if entry.get("steps"):
            yield f"{path(['scores', name, 'steps'])}: is not combined with a sequence, {alone}"
    for name, entry in config["masks"].items():
        sees_data = all(needs["scores"][scores[score]["score"]]["sees"] for score in entry["scores"])
        if sees_data and not patterns[registered_name(entry["pattern"])]["steps"]:
            place = f"{path(['masks', name, 'pattern'])} = {show(entry['pattern'])}"
            can = words(pattern for pattern, of in patterns.items() if of["steps"])
            yield f"{place}: has no masks that a sequence reaches step by step, {alone}; allowed are {can}"
