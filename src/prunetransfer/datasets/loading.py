"""Any dataset by the name of its kind, seen through its views, and what every kind must keep to."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from prunetransfer.datasets import kinds
from prunetransfer.datasets.downloads import DOWNLOADS, folder_of, origin
from prunetransfer.datasets.mixtures import KIND, mixed
from prunetransfer.datasets.samples import Samples
from prunetransfer.datasets.seen import SPLITS, of_split
from prunetransfer.runtime.messages import abridged
from prunetransfer.settings.registry import find


def load_samples(
    kind: str,
    split: str,
    settings: Mapping[str, Any],
    data_root: str | Path,
    downloads: Path = DOWNLOADS,
    plugin: Mapping[str, str] | None = None,
) -> Samples:
    """One split ("train" or "test") of a dataset of `kind`, or of a mixture.

    settings: the arguments of the kind's function, or of a mixture its `parts`, name → the part's own kind, settings
    and plugin; and as `selections` those of the views that it is then seen through.
    data_root: where the user's relative paths start. downloads: the folder of downloaded datasets. plugin: where the
    kind is found, as of `registry.find`. Raises ValueError for an unknown kind, split or setting, for fewer than two
    classes or a class that has no image, if its labels are a task, and for whatever the kind or a view refuses.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: allowed are {', '.join(SPLITS)}")
    settings = dict(settings)
    selections = settings.pop("selections", [])
    if kind == KIND:
        parts = {name: _part(split, part, data_root, downloads) for name, part in settings["parts"].items()}
        return _seen(mixed(parts), split, selections)
    known = sorted(module.name for module in pkgutil.iter_modules(kinds.__path__))
    if not plugin and kind not in known:
        raise ValueError(f"unknown dataset kind {kind!r}: allowed are {', '.join(known)}")
    # By name, so that the code digest of one kind does not cover the others.
    entry = find("datasets", kind, plugin)
    load = entry.function
    source = origin({"kind": kind, **settings}, entry.needs["downloaded_by"])
    folders = {"data_root": Path(data_root), "folder": folder_of(source, downloads) if source else None}
    takes = inspect.signature(load).parameters
    given = {key: folder for key, folder in folders.items() if key in takes}
    try:
        inspect.signature(load).bind(split, **settings, **given)
    except TypeError as error:
        allowed = [key for key in takes if key not in ("split", *folders)]
        raise ValueError(f"dataset kind {kind!r}: {error}; its settings are {', '.join(allowed) or 'none'}") from None
    samples = _seen(load(split, **settings, **given), split, selections)
    what = f"{settings.get('path') or settings.get('name') or kind}, {split} split"
    if entry.needs["labelled"]:
        _refuse_no_task(samples, what, getattr(entry.module, "TAKEN", ""))
    return samples


def _part(split: str, part: Mapping[str, Any], data_root: str | Path, downloads: Path) -> Samples:
    settings = dict(part)
    kind, plugin = settings.pop("kind"), settings.pop("plugin", None)
    return load_samples(kind, split, settings, data_root, downloads, plugin)


def _seen(samples: Samples, split: str, selections: Sequence[Mapping[str, Any]]) -> Samples:
    """What views leave."""
    for selection in selections:
        before = [*samples.classes_before, samples.classes]
        samples = replace(view(samples, split, selection), classes_before=before)
    return samples


def view(samples: Samples, split: str, selection: Mapping[str, Any]) -> Samples:
    """What `selection` leaves of one split: the arguments of the steps of `datasets.views`, by name.

    selection["seed"] decides what is drawn. Raises ValueError for what the steps refuse.
    """
    steps = [(find("views", name), argument) for name, argument in selection.items() if name != "seed"]
    for step, argument in sorted(steps, key=lambda pair: pair[0].needs["place"]):
        told = of_split(argument, split, step.needs)
        if told is not None:
            samples = step.function(samples, told, selection["seed"])
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
    raise ValueError("; ".join(filter(None, [f"{what}: {wrong}", *samples.omissions(), taken])))
