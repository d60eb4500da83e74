"""Labelled images before preparation: what a dataset kind returns, and what every kind must keep to."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from prunetransfer.datasets import kinds
from prunetransfer.datasets.downloads import DOWNLOADS, folder_of, origin
from prunetransfer.datasets.views import view
from prunetransfer.runtime.messages import abridged
from prunetransfer.settings.registry import find

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Samples:
    """One split of a dataset.

    images: PIL images of any mode and size, decoded when they are asked for, with their `filename` where it is known;
    labels: int64 [n], indices into `classes`; passed_over: what is there and does not count, reason → names;
    classes_before: of a view, the classes before each selection that it is seen through. Raises ValueError if a label
    names no class.
    """

    images: Sequence[Image]
    labels: np.ndarray
    classes: list[str]
    passed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    classes_before: Sequence[Sequence[str]] = ()

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images but {len(self.labels)} labels")
        strays = np.setdiff1d(self.labels, np.arange(len(self.classes)))
        if len(strays):
            raise ValueError(
                f"label {strays[0]} is out of range: {len(self.classes)} classes allow 0 to {len(self.classes) - 1}"
            )

    def told(self) -> list[str]:
        """What was passed over, a line a reason, with the first names."""
        return [f"passed over {len(names)} {why}: {abridged(names)}" for why, names in self.passed_over.items()]


def load_samples(
    kind: str,
    split: str,
    settings: Mapping[str, Any],
    data_root: str | Path,
    downloads: Path = DOWNLOADS,
    plugin: Mapping[str, str] | None = None,
) -> Samples:
    """One split ("train" or "test") of a dataset of `kind`.

    settings: the arguments of the kind's function, and as `selections` those of the views that it is then seen through.
    data_root: where the user's relative paths start. downloads: the folder of downloaded datasets. plugin: where the
    kind is found, as of `registry.find`. Raises ValueError for an unknown kind, split or setting, for fewer than two
    classes or a class that has no image, and for whatever the kind or a view refuses.
    """
    known = sorted(module.name for module in pkgutil.iter_modules(kinds.__path__))
    if not plugin and kind not in known:
        raise ValueError(f"unknown dataset kind {kind!r}: allowed are {', '.join(known)}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: allowed are {', '.join(SPLITS)}")
    settings = dict(settings)
    selections = settings.pop("selections", [])
    # By name, so that the code digest of one kind does not cover the others.
    found = find("datasets", kind, plugin)
    load = found.function
    source = origin({"kind": kind, **settings})
    places = {"data_root": Path(data_root), "folder": folder_of(source, downloads) if source else None}
    takes = inspect.signature(load).parameters
    given = {key: place for key, place in places.items() if key in takes}
    try:
        inspect.signature(load).bind(split, **settings, **given)
    except TypeError as error:
        allowed = [key for key in takes if key not in ("split", *places)]
        raise ValueError(f"dataset kind {kind!r}: {error}; its settings are {', '.join(allowed) or 'none'}") from None
    samples = load(split, **settings, **given)
    for selection in selections:
        before = [*samples.classes_before, samples.classes]
        samples = replace(view(samples, split, selection), classes_before=before)
    what = f"{settings.get('path') or settings.get('name') or kind}, {split} split"
    _refuse_no_task(samples, what, getattr(found.module, "TAKEN", ""))
    return samples


def _refuse_no_task(samples: Samples, what: str, taken: str) -> None:
    """taken: what the kind takes, in words."""
    empty = np.flatnonzero(np.bincount(samples.labels, minlength=len(samples.classes)) == 0)
    if len(samples.classes) < 2:
        wrong = f"a task needs at least two classes, got {', '.join(samples.classes) or 'none'}"
    elif len(empty):
        wrong = f"no images for class {abridged([samples.classes[label] for label in empty])}"
    else:
        return
    raise ValueError("; ".join(filter(None, [f"{what}: {wrong}", *samples.told(), taken])))


def held_out(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which images to test on: bool [n], a seeded draw of `share` of each class (rounded; with two images, one)."""
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        chosen[np.random.default_rng([seed, int(label)]).permutation(members)[:count]] = True
    return chosen
