"""All pruning scores side by side: what each keeps on its source and on tasks it has not seen, and what it costs.

    python benchmarks/peers.py measure [--backbones NAME ...] [--criteria NAME ...] [--recovered Q ...]
    python benchmarks/peers.py write docs/benchmarks.md

`measure` writes a file for each backbone, criterion and seed to results/benchmarks/peers and goes on where it was
stopped; what it needs is said in benchmarks/tasks.py. Criteria are compared by what they keep on held-out train images,
and reported by what they keep on test images.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import tasks
import torch

from prunetransfer.criteria.source import Source
from prunetransfer.heads.losses import squared
from prunetransfer.pruning.apply import mask_tensors
from prunetransfer.pruning.masks import global_mask
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.reconstruct import reconstruct
from prunetransfer.settings.registry import find

FOLDER = tasks.CACHE / "peers"
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Criterion:
    """A score with its settings. peer: it is no candidate, so it is reported alone. alone: its masks are made one a
    sparsity, with this setting as that sparsity."""

    score: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    peer: bool = False
    alone: str | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        return ("test",) if self.peer else ("held_out", "test")


CRITERIA = {
    "random": Criterion("random", peer=True),
    "magnitude": Criterion("magnitude"),
    "synflow": Criterion("synflow", peer=True),
    "snip": Criterion("snip", peer=True),
    "grasp": Criterion("grasp", peer=True),
    "wanda": Criterion("wanda", peer=True),
    "sparsegpt": Criterion("sparsegpt", peer=True, alone="sparsity"),
    "diagonal": Criterion("diagonal"),
    "damped 0.3": Criterion("damped", {"relative": 0.3}),
    "damped 1": Criterion("damped", {"relative": 1.0}),
    "block 1e-4": Criterion("block", {"damping": 1e-4}),
    "block": Criterion("block", {"relative": 1.0}),
    "correlated": Criterion("correlated", {"relative": 1.0}),
    "kfac": Criterion("kfac", {"relative": 1.0}),
    "ekfac": Criterion("kfac", {"relative": 1.0, "corrected": True}),
    "features": Criterion("features", {"relative": 1.0}),
    "features, whitened": Criterion("features", {"relative": 1.0, "whiten": True}),
}
# Data-free scores are the same with every seed; random is drawn anew.
SEEDED = {"random": "seed"}


@dataclass(frozen=True)
class Plan:
    """Which source prunes a backbone, at which sparsities, with how many images of each task to measure on."""

    source: str
    sparsities: Sequence[float]
    images: int
    recovered_with: int = 256


def plan(name: str) -> Plan:
    match name.split("-")[0]:
        case "resnet":
            return Plan("digits", (0.5, 0.7, 0.8), 200)
        case "vit":
            return Plan("digits", (0.3, 0.5, 0.7), 200)
        case "mobilenetv2":
            return Plan("rsscn7", (0.2, 0.3, 0.5), 100, recovered_with=128)
        case _:
            return Plan("rsscn7", (0.3, 0.5, 0.7), 100, recovered_with=128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--backbones", nargs="+", choices=tasks.names(), default=tasks.names())
    measuring.add_argument("--criteria", nargs="+", choices=list(CRITERIA), default=list(CRITERIA))
    measuring.add_argument(
        "--recovered", nargs="*", type=float, help="sparsities at which masks are also reconstructed"
    )
    measuring.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    commands.add_parser("write").add_argument("page", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "write":
        from peers_table import write

        write(arguments.page, FOLDER)
        return
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    for name in arguments.backbones:
        measure(name, arguments.criteria, arguments.recovered, arguments.seeds)


def measure(name: str, criteria: Sequence[str], recovered: Sequence[float] | None, seeds: Sequence[int]) -> None:
    """Measure what has no file yet. recovered: sparsities; None: all of the backbone's plan."""
    planned = plan(name)
    recovered = planned.sparsities if recovered is None else recovered
    wanted = [(seed, label) for seed in seeds for label in criteria if not _is_repeated(label, seed)]
    missing = [key for key in wanted if not all(_file(name, *key, r).exists() for r in ("none", "reconstruct"))]
    if not missing:
        return
    bench = tasks.load(name, planned.images)
    dense = bench.correct(bench.backbone, ("held_out", "test"))
    unit = _pass_seconds(bench, planned)
    for recovery, sparsities in (("none", planned.sparsities), ("reconstruct", recovered)):
        for seed, label in wanted:
            path = _file(name, seed, label, recovery)
            if not sparsities or path.exists():
                continue
            rows = list(_rows(bench, planned, CRITERIA[label], seed, recovery, sparsities))
            about = {"backbone": name, "source": planned.source, "seed": seed, "criterion": label, "recovery": recovery}
            frame = pd.DataFrame(
                [about | row | {"seconds_of_a_pass": unit, "dense": dense[row["split"], row["task"]]} for row in rows]
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            frame.to_parquet(path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
            print(name, seed, label, recovery, flush=True)


def _is_repeated(label: str, seed: int) -> bool:
    """Whether the first seed says it all."""
    return seed != SEEDS[0] and label in ("magnitude", "synflow")


def _file(name: str, seed: int, label: str, recovery: str) -> Path:
    return FOLDER / f"{name}-{label.replace(' ', '-').replace(',', '')}-{recovery}-{seed}.parquet"


def _rows(
    bench: tasks.Bench, planned: Plan, criterion: Criterion, seed: int, recovery: str, sparsities: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """One row a sparsity, split and task: which images are classified right."""
    task = bench.tasks[planned.source]
    settings = dict(criterion.settings)
    if criterion.score in SEEDED:
        settings[SEEDED[criterion.score]] = seed
    scores, seconds = None, 0.0
    for sparsity in sparsities:
        if scores is None or criterion.alone:
            if criterion.alone:
                settings[criterion.alone] = sparsity
            source = Source(bench.backbone, task.head, task.train, seed, task.train.images.shape[1])
            start = time.perf_counter()
            found = find("scores", criterion.score).function(source, **settings)
            seconds = time.perf_counter() - start
            scores = {name: values.numpy() for name, values in found.items()}
        mask = mask_tensors(global_mask(scores, sparsity), bench.backbone.device)
        backbone = copy.deepcopy(bench.backbone)
        backbone.prune(mask)
        start = time.perf_counter()
        if recovery == "reconstruct":
            case = Case(backbone, bench.backbone, mask, None, task.train, seed)
            reconstruct(case, samples=planned.recovered_with)
        recovering = time.perf_counter() - start
        for (split, name), correct in bench.correct(backbone, criterion.splits).items():
            yield {
                "sparsity": sparsity,
                "split": split,
                "task": name,
                "correct": correct,
                "score_seconds": seconds,
                "recovery_seconds": recovering,
            }


def _pass_seconds(bench: tasks.Bench, planned: Plan) -> float:
    """Seconds of a forward and a backward pass of a mean loss over 256 images, in batches of 32."""
    task, backbone = bench.tasks[planned.source], bench.backbone
    images, labels = task.train.images[:256], task.train.labels[:256]
    weights = [weight.requires_grad_() for weight in backbone.prunable().values()]
    start = time.perf_counter()
    for part in torch.arange(len(labels)).split(32):
        torch.autograd.grad(squared(task.head(backbone(images[part])), labels[part]).mean(), weights)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
