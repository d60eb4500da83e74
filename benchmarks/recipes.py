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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tasks
import torch
from rows import file_of, write_rows

from prunetransfer.criteria.source import Source
from prunetransfer.datasets.splits import Split
from prunetransfer.pruning.apply import mask_tensors
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.reconstruct import reconstruct
from prunetransfer.recovery.refine import refine
from prunetransfer.recovery.steps import prune_in_steps
from prunetransfer.settings.registry import find

FOLDER = tasks.CACHE / "recipes"
SEEDS = (0, 1, 2)
IMAGES = 512  # that a score and a recovery see, of all sets together
SOURCE, PROCEDURAL = "source", "procedural"
BOTH = (SOURCE, PROCEDURAL)


@dataclass(frozen=True)
class Recipe:
    """images: the sets that the score and the recovery see, all of one size. rounds: the steps that a mask is made in.
    last: what is done with the last mask: nothing, `reconstruct`, or `refine`, which chooses it anew."""

    images: Sequence[str] = (SOURCE,)
    rounds: int = 1
    last: str = "reconstruct"
    score: str = "features"


RECIPES = {
    "`magnitude`, no recovery": Recipe(score="magnitude", last="nothing"),
    "`features`, no recovery": Recipe(last="nothing"),
    "`magnitude`": Recipe(score="magnitude"),
    "`features`": Recipe(),
    "+ procedural images": Recipe(BOTH),
    "+ procedural images, refined": Recipe(BOTH, last="refine"),
    "+ procedural images, 4 steps": Recipe(BOTH, 4),
    "+ procedural images, 4 steps, refined": Recipe(BOTH, 4, "refine"),
    "procedural images alone": Recipe((PROCEDURAL,)),
    "procedural images alone, 4 steps, refined": Recipe((PROCEDURAL,), 4, "refine"),
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
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    for seed in arguments.seeds:
        for name in arguments.backbones:
            measure(name, seed, arguments.recipes)


def measure(name: str, seed: int, recipes: Sequence[str]) -> None:
    """Measure what has no file yet."""
    source, sparsities, images = PLANS[name.split("-")[0]]
    missing = [label for label in recipes if not file_of(FOLDER, name, seed, label).exists()]
    if not missing:
        return
    bench = tasks.load(name, images)
    dense = {split: bench.correct(bench.backbone, split) for split in tasks.MEASURED}
    sets = {SOURCE: bench.tasks[source].train, PROCEDURAL: tasks.procedural(name)}
    for label in missing:
        recipe = RECIPES[label]
        about = {"backbone": name, "recipe": label, "seed": seed, "source": source if SOURCE in recipe.images else ""}
        rows = _rows(bench, recipe, [sets[of] for of in recipe.images], sparsities, seed)
        rows = (about | row | {"dense": dense[row["split"]][row["task"]]} for row in rows)
        write_rows(file_of(FOLDER, name, seed, label), rows)


def _rows(
    bench: tasks.Bench, recipe: Recipe, sets: Sequence[Split], sparsities: Sequence[float], seed: int
) -> Iterator[dict[str, Any]]:
    """One row a sparsity, split and task: which images are classified right. seconds: of the score and all after it."""
    samples, (train, *beside) = IMAGES // len(sets), sets
    source = Source(bench.backbone, None, train, seed, beside=beside)
    start = time.process_time()
    settings = {} if recipe.score == "magnitude" else {"samples": samples}
    scores = find("scores", recipe.score).function(source, **settings)
    scores = {name: values.numpy() for name, values in scores.items()}
    scored = time.process_time() - start
    recover = partial(reconstruct, samples=samples)
    making = {"recover": recover, "train": train, "seed": seed, "beside": beside}
    if recipe.last == "refine":
        making["refine"] = partial(refine, samples=samples)
    for sparsity in sparsities:
        start = time.process_time()
        mask, backbone = prune_in_steps(bench.backbone, scores, sparsity, recipe.rounds, **making)
        if recipe.last == "reconstruct":
            keep = mask_tensors(mask, backbone.device)
            recover(Case(backbone, bench.backbone, keep, None, train, seed, beside=beside))
        seconds = scored + time.process_time() - start
        for split in tasks.MEASURED:
            for name, correct in bench.correct(backbone, split).items():
                yield {"sparsity": sparsity, "split": split, "task": name, "correct": correct, "seconds": seconds}


if __name__ == "__main__":
    main()
