"""Which entries of the config's `datasets` show the same images, whatever they are called."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from prunetransfer.datasets.mixtures import KIND, own_classes
from prunetransfer.stages.sequences import datasets_of

Entry = Mapping[str, Any]

# What decides where a kind's images come from; its other settings label, split or draw them. Of a kind that is not here
# all settings decide but those of IRRELEVANT.
DECIDED_BY = {
    "digits": (),
    "glyphs": (),
    "procedural": (),
    "textures": (),
    "folder": ("path",),
    "npz": ("path",),
    "parquet": ("train",),
    "torchvision": ("name",),
    "huggingface": ("name", "subset"),
}
IRRELEVANT = ("head", "selections", "seed", "skip_unreadable", "allow_overlap")


def own_sources(datasets: Mapping[str, Entry], sources: Iterable[str], tasks: Iterable[str]) -> dict[str, list[str]]:
    """Each task with the datasets of `sources` whose images it may share; of a sequence each dataset is one of them.

    datasets: of a validated config, views and mixtures resolved.
    """
    names = list(dict.fromkeys(name for source in sources for name in datasets_of(source)))
    return {task: [name for name in names if same_images(datasets[task], datasets[name])] for task in tasks}


def same_images(entry: Entry, other: Entry) -> bool:
    """May two entries have an image in common?

    They may where their images come from one place: two entries of one folder, a dataset and its views, however many
    lie between. The seed of a split or of a draw makes no other images. Two views do not where the classes that they
    choose, all by name or all by number, are not the same. A mixture shows the images of its parts.
    """
    return any(_overlap(first, second) for first in _shown(entry) for second in _shown(other))


def _overlap(entry: Entry, other: Entry) -> bool:
    return _place(entry) == _place(other) and not _disjoint(_classes(entry), _classes(other))


def _shown(entry: Entry) -> Iterator[Entry]:
    """The entries without parts that an entry shows: of a view of a mixture those whose classes it may have chosen."""
    if entry["kind"] != KIND:
        yield entry
        return
    chosen = _classes(entry)
    for name, part in entry["parts"].items():
        if chosen is None or any(isinstance(of, int) for of in chosen):  # a number may be a class of any part
            yield from _shown(part)
        elif own := own_classes(name, chosen):
            yield from _shown({**part, "selections": [*part.get("selections", ()), {"classes": own}]})


def _place(entry: Entry) -> dict[str, Any]:
    names = DECIDED_BY.get(entry["kind"], [name for name in entry if name not in IRRELEVANT])
    place = {name: entry[name] for name in ("kind", *names) if entry.get(name) is not None}
    return place | {name: _files(place[name]) for name in ("path", "train") if name in place}


def _files(paths: str | Sequence[str]) -> set[str]:
    return {os.path.normpath(path) for path in ([paths] if isinstance(paths, str) else paths)}


def _classes(entry: Entry) -> list[str | int] | None:
    """The classes that an entry's selections leave, by their names or numbers in the base; None: all of them."""
    left: list[str | int] | None = None
    for selection in entry.get("selections", ()):
        chosen = selection.get("classes")
        if chosen is not None:
            known = dict(enumerate(left or ()))
            left = [known.get(name, name) for name in chosen]
    return left


def _disjoint(first: list[str | int] | None, second: list[str | int] | None) -> bool:
    """A name and a number may be the same class."""
    if first is None or second is None or len({type(name) for name in (*first, *second)}) > 1:
        return False
    return not set(first) & set(second)
