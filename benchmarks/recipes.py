"""Pruning and recovery without labels and without training: what each recipe keeps on tasks it has not seen.

    python benchmarks/recipes.py measure --split held_out
    python benchmarks/recipes.py measure
    python benchmarks/recipes.py write docs

The first compares recipes on held-out train images, to choose one; the second reports them on test images. Each writes
a file for each backbone, recipe and seed to results/benchmarks/recipes and goes on where it was stopped.
benchmarks/tasks.py says what they need.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import tasks
import torch
from rows import file_of, write_rows

from prunetransfer.criteria.source import Source
from prunetransfer.datasets.splits import Split
from prunetransfer.pruning.apply import mask_tensors
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.moments import moments
from prunetransfer.recovery.reconstruct import reconstruct
from prunetransfer.recovery.refine import refine
from prunetransfer.recovery.steps import prune_in_steps
from prunetransfer.settings.registry import find

FOLDER = tasks.CACHE / "recipes"
SEEDS = (0, 1, 2)
IMAGES = 512  # that a score and a recovery see, of all sets together
SOURCE, PROCEDURAL = "source", "procedural"
STATES = {"none": None, "reconstruct": reconstruct, "reconstruct+moments": moments}


@dataclass(frozen=True)
class Recipe:
    """A score, the sets of images that it and the recovery see, the steps in which a mask is made, and whether the last
    mask is refined."""

    images: Sequence[str] = (SOURCE,)
    rounds: int = 1
    refined: bool = False
    score: str = "features"


RECIPES = {
    "magnitude, source": Recipe(score="magnitude"),
    "source": Recipe(),
    "source, 4 steps": Recipe(rounds=4),
    "source + procedural": Recipe((SOURCE, PROCEDURAL)),
    "source + procedural, 2 steps": Recipe((SOURCE, PROCEDURAL), rounds=2),
    "source + procedural, 4 steps": Recipe((SOURCE, PROCEDURAL), rounds=4),
    "source + procedural, refined": Recipe((SOURCE, PROCEDURAL), refined=True),
    "source + procedural, 4 steps, refined": Recipe((SOURCE, PROCEDURAL), rounds=4, refined=True),
    "procedural": Recipe((PROCEDURAL,)),
    "procedural, 4 steps": Recipe((PROCEDURAL,), rounds=4),
    "procedural, 4 steps, refined": Recipe((PROCEDURAL,), rounds=4, refined=True),
}
# By the first word of a backbone's name: the source, the sparsities, and images of each task to measure on.
PLANS = {
    "resnet": ("digits", (0.5, 0.7, 0.8, 0.9), 200),
    "vit": ("digits", (0.5, 0.6, 0.7, 0.8), 200),
    "mobilenetv2": ("rsscn7", (0.3, 0.5), 100),
    "efficientnet": ("rsscn7", (0.3, 0.5, 0.7), 100),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--backbones", nargs="+", choices=tasks.names(), default=tasks.names())
    measuring.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    measuring.add_argument("--split", choices=["held_out", "test"], default="test")
    measuring.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    commands.add_parser("write").add_argument("docs", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "write":
        from recipes_table import write

        write(arguments.docs, FOLDER, list(RECIPES), tasks.names())
        return
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    for name in arguments.backbones:
        measure(name, arguments.recipes, arguments.split, arguments.seeds)


def measure(name: str, recipes: Sequence[str], split: str, seeds: Sequence[int]) -> None:
    """Measure what has no file yet."""
    source, sparsities, images = PLANS[name.split("-")[0]]
    missing = [key for key in product(seeds, recipes) if not file_of(FOLDER / split, name, *key).exists()]
    if not missing:
        return
    bench = tasks.load(name, images)
    dense = bench.correct(bench.backbone, split)
    sets = {SOURCE: bench.tasks[source].train, PROCEDURAL: tasks.procedural(name)}
    for seed, label in missing:
        recipe = RECIPES[label]
        about = {"backbone": name, "recipe": label, "seed": seed, "split": split}
        about["source"] = source if SOURCE in recipe.images else ""
        rows = _rows(bench, recipe, [sets[of] for of in recipe.images], sparsities, split, seed)
        rows = (about | row | {"dense": dense[row["task"]]} for row in rows)
        write_rows(file_of(FOLDER / split, name, seed, label), rows)


def _rows(
    bench: tasks.Bench, recipe: Recipe, sets: Sequence[Split], sparsities: Sequence[float], split: str, seed: int
) -> Iterator[dict[str, Any]]:
    """One row a sparsity, state and task: which images are classified right. seconds: of all up to that state."""
    samples, (train, *beside) = IMAGES // len(sets), sets
    source = Source(bench.backbone, None, train, seed, train.images.shape[1], beside)
    start = time.process_time()
    settings = {} if recipe.score == "magnitude" else {"samples": samples}
    scores = find("scores", recipe.score).function(source, **settings)
    scores = {name: values.numpy() for name, values in scores.items()}
    scored = time.process_time() - start
    recover = partial(reconstruct, samples=samples)
    making = {"recover": recover, "train": train, "seed": seed, "beside": beside}
    if recipe.refined:
        making["refine"] = partial(refine, samples=samples)
    for sparsity in sparsities:
        start = time.process_time()
        mask, backbone = prune_in_steps(bench.backbone, scores, sparsity, recipe.rounds, **making)
        case = Case(backbone, bench.backbone, mask_tensors(mask, backbone.device), None, train, seed, beside=beside)
        seconds = scored + time.process_time() - start
        for state, recovery in STATES.items():
            start = time.process_time()
            if recovery:
                recovery(case, samples=samples)
            seconds += time.process_time() - start
            for name, correct in bench.correct(backbone, split).items():
                yield {"sparsity": sparsity, "state": state, "task": name, "correct": correct, "seconds": seconds}


if __name__ == "__main__":
    main()
