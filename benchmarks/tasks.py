"""Backbones with weights that are at hand, each with its tasks: the dense heads, and images to choose and to report on.

The embedded study's five backbones with its three tasks; MobileNetV2 and EfficientNet-Lite0 with ImageNet weights of
`studies/real-small.yaml` and four of its tasks, where shared/data is beside the project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from prunetransfer.config import validate_config
from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.prepared import Preparation, write_split
from prunetransfer.datasets.splits import Split, balanced_subset, read_split
from prunetransfer.heads import Head
from prunetransfer.heads.ridge import fit_ridge
from prunetransfer.models.backbones import Backbone, build_backbone, extract_features
from prunetransfer.models.checkpoints import convert, read_checkpoint
from prunetransfer.models.sources import fetch

ROOT = Path(__file__).parents[1]
CACHE = ROOT / "results/benchmarks"
STUDIES = {
    "config.yaml": ("digits", "glyphs", "textures"),
    "studies/real-small.yaml": ("rsscn7", "dtd10", "flowers5", "trashnet6"),
}
MEASURED = ("held_out", "test")
NOT_OF_A_KIND = ("allow_overlap", "skip_unreadable", "head")


@dataclass(frozen=True)
class Task:
    """train: what heads are fitted and backbones pruned with; held_out: other train images, to choose on; test."""

    train: Split
    held_out: Split
    test: Split
    head: Head


@dataclass(frozen=True)
class Bench:
    """A dense backbone and its tasks by name."""

    name: str
    backbone: Backbone
    tasks: Mapping[str, Task]

    def correct(self, backbone: Backbone, split: str) -> dict[str, np.ndarray]:
        """Task → which images the frozen heads classify right, bool [n]; split: "held_out" or "test"."""
        found = {}
        for name, task in self.tasks.items():
            seen = getattr(task, split)
            outputs = task.head(extract_features(backbone, seen.images)).cpu()
            found[name] = ((outputs.argmax(1) == seen.labels) & outputs.isfinite().all(1)).numpy()
        return found


def names() -> list[str]:
    """The backbones that `load` takes; without shared/data only the embedded ones."""
    return [name for study in STUDIES for name in config_of(study)["backbones"] if _at_hand(study)]


def load(name: str, images: int, device: torch.device) -> Bench:
    """On a device. images: at most so many of each task are held out, and as many are tested on, balanced by class."""
    study = next(study for study in STUDIES if _at_hand(study) and name in config_of(study)["backbones"])
    config = config_of(study)
    settings = config["backbones"][name]
    backbone = backbone_of(settings).to(device)
    return Bench(name, backbone, {task: _task(task, config, settings, backbone, images) for task in STUDIES[study]})


def backbone_of(settings: Mapping[str, Any]) -> Backbone:
    """The dense backbone of a config's entry, from weights that are at hand."""
    backbone, weights = build_backbone(settings), settings["weights"]
    checkpoint = fetch(weights["source"], settings["architecture"], CACHE, weights["sha256"])
    state = read_checkpoint(checkpoint, weights["entry"], weights["prefix"], weights["rename"])
    arrays = convert(state, backbone.network, weights["ignore"], weights["missing"])
    backbone.network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return backbone


def procedural(name: str) -> Split:
    """Images made from nothing, as a backbone reads them."""
    config = next(config for config in map(config_of, STUDIES) if name in config["backbones"])
    config = config | {"datasets": {"procedural": {"kind": "procedural"}}}
    return split_of("procedural", "train", config, config["backbones"][name])


def split_of(task: str, split: str, config: Mapping[str, Any], settings: Mapping[str, Any]) -> Split:
    """A split of a config's dataset, prepared once as a backbone's entry has it."""
    preparation = Preparation(*(settings[key] for key in ("size", "interpolation", "crop", "crop_mode")))
    path = CACHE / f"{task}-{preparation.size}-{split}.safetensors"
    if not path.exists():
        of_kind = {key: value for key, value in config["datasets"][task].items() if key not in NOT_OF_A_KIND}
        samples = load_samples(of_kind.pop("kind"), split, of_kind, config["data_root"])
        path.parent.mkdir(parents=True, exist_ok=True)
        write_split(path, samples, preparation, {})
    return read_split(path)


@cache
def config_of(study: str) -> dict[str, Any]:
    """A study's config, checked and with its defaults."""
    config = yaml.safe_load((ROOT / study).read_text())
    return validate_config(config, ROOT / "workflow/schemas/config.schema.json", root=ROOT)


def _task(name: str, config: Mapping[str, Any], settings: Mapping[str, Any], backbone: Backbone, images: int) -> Task:
    train, test = (split_of(name, split, config, settings) for split in ("train", "test"))
    chosen = torch.zeros(len(train.labels), dtype=torch.bool)
    chosen[balanced_subset(train.labels, min(images, len(train.labels) // 4), seed=7)] = True
    rest = _part(train, ~chosen)
    head = fit_ridge(extract_features(backbone, rest.images), rest.labels.to(backbone.device), len(rest.classes))
    return Task(rest, _part(train, chosen), _part(test, balanced_subset(test.labels, images, seed=7)), head)


def _part(split: Split, which: torch.Tensor) -> Split:
    return Split(split.images[which], split.labels[which], split.classes)


def _at_hand(study: str) -> bool:
    return Path(ROOT / yaml.safe_load((ROOT / study).read_text()).get("data_root", ".")).is_dir()
