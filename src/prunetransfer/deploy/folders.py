"""Folders of images: what a backbone is pruned with, and the tasks that it is measured on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prunetransfer.analysis.paired import Cell, mean_ratio
from prunetransfer.config.data_configs import border_of
from prunetransfer.datasets.files import ImageFiles
from prunetransfer.datasets.kinds.folder import EXTENSIONS
from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.prepared import Preparation, refuse_overlap, write_split
from prunetransfer.datasets.samples import Samples
from prunetransfer.datasets.seen import SPLITS
from prunetransfer.datasets.splits import Split, read_split
from prunetransfer.deploy.inputs import unlabelled
from prunetransfer.deploy.pruned import Measured
from prunetransfer.heads import Head
from prunetransfer.heads.ridge import fit_ridge
from prunetransfer.models.backbones import Backbone, extract_features

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Task:
    """A labelled folder: its test images, the head that was fitted on its train images, and whether each test image is
    classified right by the dense backbone."""

    name: str
    path: Path
    test: Split
    head: Head
    dense: np.ndarray


def folder_images(path: Path, entry: Mapping[str, Any], most: int, seed: int) -> Split:
    """At most `most` of the images that lie in a folder, however deep, prepared, without labels.

    Raises ValueError if there is none, and for one that cannot be read, naming it.
    """
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder")
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS and file.is_file())
    if len(files) < 2:
        raise ValueError(f"{path}: {len(files)} images; at least two, in files that end in {', '.join(EXTENSIONS)}")
    chosen = sorted(np.random.default_rng(seed).permutation(len(files))[:most])
    samples = Samples(ImageFiles([files[k] for k in chosen]), np.zeros(len(chosen), dtype=np.int64), ["any"])
    split, _ = _prepared(samples, entry)
    return unlabelled(split.images)


def tasks(paths: Sequence[Path], entry: Mapping[str, Any], backbone: Backbone) -> Iterator[Task]:
    """A task of each labelled folder (docs/datasets.md, `kind: folder`), read by a ridge head on the dense features.

    Raises ValueError for two folders of one name, and for a folder that is no task, has a test image among its train
    images, or on which the dense backbone gets nothing right.
    """
    names = [path.resolve().name for path in paths]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"--evaluate: several folders are called {min(twice)}; a task goes by its folder's name")
    for path in paths:
        samples = {split: load_samples("folder", split, {"path": str(path.resolve())}, "/") for split in SPLITS}
        prepared = {name: _prepared(of, entry) for name, of in samples.items()}
        refuse_overlap(samples, {name: digests for name, (_, digests) in prepared.items()})
        train, test = (prepared[name][0] for name in SPLITS)
        features = extract_features(backbone, train.images)
        head = fit_ridge(features, train.labels.to(features.device), len(train.classes))
        dense = correct(backbone, head, test)
        if not dense.any():
            raise ValueError(f"{path}: the dense backbone gets no test image right, so there is nothing to retain")
        yield Task(path.resolve().name, path.resolve(), test, head, dense)


def measured(task: Task, backbone: Backbone, seen: Path | None) -> Measured:
    """What the pruned backbone keeps of a task. seen: the folder that it was pruned with."""
    after = correct(backbone, task.head, task.test)
    kept = mean_ratio([Cell(task.name, 0, task.dense, after)], CONFIDENCE)
    paths = [task.path, seen.resolve()] if seen else []
    unseen = not seen or os.path.commonpath(paths) not in map(str, paths)
    accuracies = (float(task.dense.mean()), float(after.mean()))
    return Measured(task.name, unseen, "zero_shot", len(after), *accuracies, kept.value, kept.low, kept.high)


def correct(backbone: Backbone, head: Head, split: Split) -> np.ndarray:
    """Which images are classified right, bool [n]; an output that is not finite is wrong."""
    outputs = head(extract_features(backbone, split.images))
    right = (outputs.argmax(1) == split.labels.to(outputs.device)) & outputs.isfinite().all(1)
    return right.numpy(force=True)


def _prepared(samples: Samples, entry: Mapping[str, Any]) -> tuple[Split, np.ndarray]:
    """The images as a backbone reads them, and a digest of each."""
    preparation = Preparation(
        *(entry[key] for key in ("size", "interpolation", "crop", "crop_mode")), border_of(entry["mean"])
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images.safetensors")
        digests = write_split(path, samples, preparation, {}, threads=torch.get_num_threads())
        return read_split(path), digests
