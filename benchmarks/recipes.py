"""Pruning and recovery without labels and without training: what each recipe keeps on tasks it has not seen.

    python benchmarks/recipes.py measure
    python benchmarks/recipes.py write docs

The first prunes by each recipe and reads it on held-out train images, to choose one, and on test images, to report the
one that was chosen. It writes a file for each backbone, recipe and seed to results/benchmarks/recipes and goes on where
it was stopped. benchmarks/tasks.py says what it needs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import tasks
import torch
from rows import file_of, write_rows

from prunetransfer.deploy.recipe import Material, Recipe, made, ranking_of
from prunetransfer.runtime.devices import device_name, prepare_process
from prunetransfer.settings.registry import find, keywords

FOLDER = tasks.CACHE / "recipes"
SEEDS = (0, 1, 2)
IMAGES = 512  # that a score and a recovery see, of all sets together
SOURCE, PROCEDURAL = "source", "procedural"
BOTH = (SOURCE, PROCEDURAL)
# What each is called → the sets of images that it sees, all of one size, and what is done with them.
RECIPES = {
    "`magnitude`, no recovery": ((SOURCE,), Recipe("magnitude", rounds=1, recovery=None)),
    "`features`, no recovery": ((SOURCE,), Recipe(rounds=1, recovery=None)),
    # Published ones, on the same images: Wanda and SparseGPT as they choose weights, then solved by `reconstruct`, and
    # ALPS's ADMM, which solves them itself; all with the same sparsity in every layer.
    "`wanda`": ((SOURCE,), Recipe("wanda", rounds=1, recovery="reconstruct")),
    "`sparsegpt`": ((SOURCE,), Recipe("sparsegpt", rounds=1, recovery="reconstruct")),
    "`alps`": ((SOURCE,), Recipe("magnitude", {"allocation": "uniform"}, rounds=1)),
    "`magnitude`": ((SOURCE,), Recipe("magnitude", rounds=1, recovery="reconstruct")),
    "`features`": ((SOURCE,), Recipe(rounds=1, recovery="reconstruct")),
    "+ procedural images": (BOTH, Recipe(rounds=1, recovery="reconstruct")),
    "+ procedural images, refined": (BOTH, Recipe(rounds=1)),
    "+ procedural images, 4 steps": (BOTH, Recipe(rounds=4, recovery="reconstruct")),
    "+ procedural images, 4 steps, refined": (BOTH, Recipe(rounds=4)),
    "procedural images alone": ((PROCEDURAL,), Recipe(rounds=1, recovery="reconstruct")),
    "procedural images alone, 4 steps, refined": ((PROCEDURAL,), Recipe(rounds=4)),
}
# By the first word of a backbone's name: the source, the sparsities, and images of each task to measure on.
PLANS = {
    "resnet": ("digits", (0.5, 0.7, 0.8, 0.9), 200),
    "vit": ("digits", (0.3, 0.5, 0.6, 0.7, 0.8), 200),
    "mobilenetv2": ("rsscn7", (0.3, 0.5), 100),
    "efficientnet": ("rsscn7", (0.3, 0.5, 0.7), 100),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--backbones", nargs="+", choices=tasks.names(), default=tasks.names())
    measuring.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    measuring.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    commands.add_parser("write").add_argument("docs", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "write":
        from recipes_table import write

        write(arguments.docs, FOLDER, list(RECIPES), tasks.names())
        return
    device = prepare_process(threads=1, seed=0)
    for seed in arguments.seeds:
        for name in arguments.backbones:
            measure(name, seed, arguments.recipes, device)


def measure(name: str, seed: int, recipes: Sequence[str], device: torch.device) -> None:
    """Measure what has no file yet."""
    source, sparsities, images = PLANS[name.split("-")[0]]
    missing = [label for label in recipes if not file_of(FOLDER, name, seed, label).exists()]
    if not missing:
        return
    bench = tasks.load(name, images, device)
    dense = {split: bench.correct(bench.backbone, split) for split in tasks.MEASURED}
    sets = {SOURCE: bench.tasks[source].train, PROCEDURAL: tasks.procedural(name)}
    for label in missing:
        images, recipe = RECIPES[label]
        train, *beside = (sets[of] for of in images)
        material = Material(bench.backbone, train, beside, None, IMAGES // len(images), seed)
        about = {"backbone": name, "recipe": label, "seed": seed, "source": source if SOURCE in images else ""}
        about["device"] = device_name(device)
        rows = (about | row for row in _rows(bench, material, recipe, sparsities))
        rows = (row | {"dense": dense[row["split"]][row["task"]]} for row in rows)
        write_rows(file_of(FOLDER, name, seed, label), rows)


def _rows(
    bench: tasks.Bench, material: Material, recipe: Recipe, sparsities: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """One row a sparsity, split and task: which images are classified right. seconds: of the score and all after it."""
    function = find("scores", recipe.score).function
    # A score that is made for one sparsity is computed anew at each.
    at_each = "sparsity" in {p.name for p in keywords(function)}
    start = time.process_time()
    ranking = None if at_each else ranking_of(material, recipe)
    score_seconds = time.process_time() - start
    for sparsity in sparsities:
        start = time.process_time()
        own = replace(recipe, score=partial(function, sparsity=sparsity)) if at_each else recipe
        _, backbone = made(material, own, ranking or ranking_of(material, own), sparsity)
        seconds = score_seconds + time.process_time() - start
        for split in tasks.MEASURED:
            for name, correct in bench.correct(backbone, split).items():
                yield {"sparsity": sparsity, "split": split, "task": name, "correct": correct, "seconds": seconds}


if __name__ == "__main__":
    main()
