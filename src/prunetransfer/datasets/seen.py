"""What is done to a dataset's splits by the views that it is seen through, as its entry of the config says.

Decided from what steps declare (`settings.registry.view_step`), the config's `$defs`: a plan imports none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

SPLITS = ("train", "test")
Entry = Mapping[str, Any]
Needs = Mapping[str, Mapping[str, Any]]  # step → what it declares


def of_split(argument: Any, split: str, declared: Mapping[str, Any]) -> Any:
    """What a step is told of one split; None where the step leaves it as it is. declared: of `view_step`."""
    unchanged = declared["unchanged"]
    if isinstance(argument, Mapping):
        if argument.keys() <= set(SPLITS):
            return argument.get(split)
        told = {key: value for key, value in argument.items() if key != "splits"}
        is_left = isinstance(unchanged, Mapping) and unchanged.items() <= told.items()
        return told if split in argument.get("splits", declared["splits"]) and not is_left else None
    is_left = argument is None or (unchanged is not None and argument == unchanged)
    return argument if split in declared["splits"] and not is_left else None


def same_train(datasets: Mapping[str, Entry], used: Iterable[str], needs: Needs) -> dict[str, str]:
    """Each dataset → the one whose train images and head are its own: of those `used`, the one with the fewest views.

    datasets: of a validated config, views resolved. A dataset that shares its train images with none stands for itself.
    Its test images must be among the other one's too, where they are compared with the train images.
    """
    order = sorted(used, key=lambda name: len(datasets[name].get("selections", ())))
    train = {name: (_seen_as(datasets[name], "train", needs), *_own_head(datasets[name])) for name in datasets}
    test = {name: _without(datasets[name], needs)["test"]["selections"] for name in datasets}

    def shares(name: str, other: str) -> bool:
        return train[other] == train[name] and test[other] == test[name][: len(test[other])]

    return {name: next((other for other in order if shares(name, other)), name) for name in datasets}


def shifts(datasets: Mapping[str, Entry], targets: Sequence[str], needs: Needs) -> dict[str, dict[str, Any]]:
    """The targets whose test pixels a view changes: the `target` without that, a `condition` in words, its `severity`.

    `target` is None where the study does not have it, `severity` where the condition is another than one corruption.
    """
    changes = {name: list(_changes(datasets[name], needs)) for name in targets}
    clean = {name: _without(datasets[name], needs) for name in targets}
    return {
        name: {
            "target": next((other for other in targets if not changes[other] and clean[other] == clean[name]), None),
            "condition": ", ".join(_in_words(step, told) for step, told in found),
            "severity": float(severity[0]) if len(found) == 1 and (severity := _severities(found)) else None,
        }
        for name, found in changes.items()
        if found
    }


def _steps(selection: Entry, needs: Needs) -> Iterator[tuple[str, Any]]:
    return ((name, argument) for name, argument in selection.items() if name in needs)


def _seen_as(entry: Entry, split: str, needs: Needs) -> dict[str, Any]:
    """What decides which images a split has, and how they look."""
    selections = []
    for selection in entry.get("selections", ()):
        told = {name: of_split(argument, split, needs[name]) for name, argument in _steps(selection, needs)}
        told = {name: value for name, value in told.items() if value is not None}
        selections += [told | {"seed": selection["seed"]}] if told else []
    return {key: value for key, value in entry.items() if key != "head"} | {"selections": selections}


def _own_head(entry: Entry) -> tuple[Entry | None, Sequence[Entry]]:
    """A head of the dataset's own, and the views that lead to the classes which it numbers."""
    head = entry.get("head")
    return head, entry["selections"][: head["views"]] if head and head["views"] else ()


def _changes(entry: Entry, needs: Needs) -> Iterator[tuple[str, Any]]:
    """The steps that change test pixels, and what they are told."""
    for selection in entry.get("selections", ()):
        for name, argument in sorted(_steps(selection, needs), key=lambda step: needs[step[0]]["place"]):
            if needs[name]["pixels"] and (told := of_split(argument, "test", needs[name])) is not None:
                yield name, told


def _without(entry: Entry, needs: Needs) -> dict[str, dict[str, Any]]:
    """Both splits of the entry, as they are seen without the steps that change test pixels."""
    left = [
        {
            key: value
            for key, value in selection.items()
            if not (key in needs and needs[key]["pixels"] and of_split(value, "test", needs[key]) is not None)
        }
        for selection in entry.get("selections", ())
    ]
    return {split: _seen_as({**entry, "selections": left}, split, needs) for split in SPLITS}


def _in_words(step: str, told: Any) -> str:
    return " ".join(map(str, told.values())) if isinstance(told, Mapping) else f"{step} {told}"


def _severities(found: Sequence[tuple[str, Any]]) -> list[int]:
    return [told["severity"] for _, told in found if isinstance(told, Mapping) and "severity" in told]
