"""What `prunetransfer prune` does: load, prune, measure, export."""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import timm
import torch
import yaml

from prunetransfer import __version__
from prunetransfer.datasets.splits import Split
from prunetransfer.deploy.card import licence_of
from prunetransfer.deploy.dense import Dense, entry_of, load
from prunetransfer.deploy.export import check_free, checked_formats, export
from prunetransfer.deploy.folders import CONFIDENCE, folder_images, measured, tasks
from prunetransfer.deploy.inputs import procedural_pixels, unlabelled
from prunetransfer.deploy.pruned import Facts, Measured, PrunedModel
from prunetransfer.deploy.recipe import Material, Recipe, made, ranking_of
from prunetransfer.models.packages import PREFIX
from prunetransfer.pruning.masks import check_sparsity
from prunetransfer.runtime.devices import device_name, prepare_process

CHECKED = 8  # images that each format is compared on


def prune_to_folder(asked: argparse.Namespace, options: Mapping[str, Any]) -> None:
    """Write what the command's arguments ask for. Raises ValueError, in one line, for whatever cannot be had or done.

    options: of the architecture.
    """
    check_sparsity(asked.sparsity)
    if asked.samples < 1:
        raise ValueError(f"--samples {asked.samples}: at least 1")
    recovery = None if asked.recovery == "none" else asked.recovery
    recipe = Recipe(asked.score, _mask(asked.mask), asked.rounds, recovery)
    if recipe.reads_labels:
        raise ValueError(f"score {asked.score} with recovery {recipe.recovery} reads labels; this command reads none")
    check_free(asked.out)
    checked_formats(asked.formats, asked.backbone)
    checkpoint = {"source": asked.checkpoint or "timm", "entry": asked.entry, "prefix": asked.prefix}
    given = {key: value for key in ("size", "mean", "std") if (value := getattr(asked, key)) is not None}
    device = prepare_process(asked.threads or torch.get_num_threads(), asked.seed)
    entry = entry_of(asked.backbone, checkpoint["source"], options, given, asked.exclude)
    sets = _images(asked, entry)
    dense = load(entry, checkpoint, device)
    of_tasks = list(tasks(asked.evaluate, entry, dense.backbone))
    train, *beside = sets.values()
    material = Material(dense.backbone, train, beside, None, asked.samples, asked.seed)
    start = time.perf_counter()
    mask, backbone = made(material, recipe, ranking_of(material, recipe), asked.sparsity)
    print(f"pruned in {timedelta(seconds=round(time.perf_counter() - start))}", flush=True)
    rows = [measured(task, backbone, asked.images) for task in of_tasks]
    for row in rows:
        print(_told(row))
    model = PrunedModel(
        backbone.to("cpu"),
        entry,
        mask,
        train.images[:CHECKED],
        _facts(asked, recipe, checkpoint["source"], dense, sets, rows, device),
        dense.classifier,
        {task.name: task.head.to(torch.device("cpu")) for task in of_tasks},
        {task.name: task.test.classes for task in of_tasks},
        material.units if recipe.takes_units else None,
    )
    export(asked.out, model, asked.formats)
    print(f"{asked.out}: {', '.join(sorted(file.name for file in asked.out.iterdir()))}")


def _mask(text: str) -> str | Mapping[str, Any]:
    """Raises ValueError for settings that are none."""
    if not text.startswith("{"):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"--mask {text}: write settings as '{{allocation: erk}}'") from error


def _images(asked: argparse.Namespace, entry: Mapping[str, Any]) -> dict[str, Split]:
    """What the backbone is pruned with, by what it is called in the card."""
    sets = {}
    if asked.images:
        found = folder_images(asked.images, entry, asked.samples, asked.seed)
        sets[f"{len(found.images)} images of {asked.images.resolve().name}"] = found
    count = asked.samples if asked.procedural is None else asked.procedural
    if count < 0:
        raise ValueError(f"--procedural {count}: at least 0")
    if count:
        sets[f"{count} images made from nothing"] = unlabelled(procedural_pixels(count, entry["size"], asked.seed))
    if not sets:
        raise ValueError("nothing to prune with: give --images, or --procedural above 0")
    return sets


def _told(row: Measured) -> str:
    return (
        f"{row.task}: accuracy {row.accuracy:.3f} of {row.dense:.3f} on {row.images} test images; retention "
        f"{row.retention:.3f} ({row.low:.3f} to {row.high:.3f})"
    )


def _facts(
    asked: argparse.Namespace,
    recipe: Recipe,
    source: str,
    dense: Dense,
    sets: Mapping[str, Split],
    rows: Sequence[Measured],
    device: torch.device,
) -> Facts:
    steps = f"in {recipe.rounds} steps with `reconstruct` between them, " if recipe.rounds > 1 else ""
    settings = ", ".join(f"{key} `{value}`" for key, value in recipe.settings.items())
    public = source == "timm" or source.startswith((PREFIX, "https://", "torchvision:"))
    return Facts(
        name=f"{asked.backbone}, pruned to sparsity {asked.sparsity:g}",
        pruning=(
            f"The backbone `{asked.backbone}` was pruned to sparsity {asked.sparsity:g} by the score `{asked.score}`, "
            f"{steps}with {settings} and recovery `{recipe.recovery or 'none'}`, on {' and '.join(sets)}, without "
            "labels, by the command `prunetransfer prune`."
        ),
        measured=rows,
        confidence=CONFIDENCE,
        guarantee="Nothing is guaranteed: the sparsity was given, and not chosen on images by a test.",
        provenance={
            "versions": f"prunetransfer {__version__}, torch {torch.__version__}, timm {timm.__version__}",
            "seed": str(asked.seed),
            "computed on": device_name(device),
            "checkpoint": source if public else Path(source).name,
            "SHA-256 of the checkpoint": dense.sha256 or "none: there is no file of one",
            **{
                f"SHA-256 of the {name}, prepared": hashlib.sha256(split.images.numpy()).hexdigest()
                for name, split in sets.items()
            },
        },
        licence=licence_of(asked.backbone, source),
    )
