"""All pruning scores side by side: what each keeps on its source and on tasks it has not seen, and what it costs.

    python benchmarks/peers.py measure --split held_out --criteria choice --bare
    python benchmarks/peers.py measure
    python benchmarks/peers.py measure --criteria fewer --bare --backbones resnet-supervised vit-supervised
    python benchmarks/peers.py write docs

The first compares candidates for the default on held-out train images, the second reports all criteria on test images,
bare and after `reconstruct`, the third computes some on fewer images. Each writes a file for each backbone, criterion
and seed to results/benchmarks/peers and goes on where it was stopped. benchmarks/tasks.py says what they need.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tasks
import torch
from rows import file_of, write_rows

from prunetransfer.criteria.source import Source
from prunetransfer.heads.losses import squared
from prunetransfer.pruning.apply import mask_tensors
from prunetransfer.pruning.masks import global_mask
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.reconstruct import reconstruct
from prunetransfer.runtime.devices import device_name, prepare_process
from prunetransfer.settings.registry import find

FOLDER = tasks.CACHE / "peers"
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Criterion:
    """A score with its settings. alone: its masks are made one a sparsity, with this setting as that sparsity."""

    score: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    alone: str | None = None


MULTIPLES = (0.3, 1, 3, 10)  # of the median curvature, as damping
CHOICE = {
    f"{label}, {multiple:g}": Criterion(score, settings | {"relative": float(multiple)})
    for label, score, settings in (
        ("damped", "damped", {}),
        ("features", "features", {}),
        ("features, whitened", "features", {"whiten": True}),
    )
    for multiple in MULTIPLES
}
CRITERIA = {
    "random": Criterion("random"),
    "magnitude": Criterion("magnitude"),
    "synflow": Criterion("synflow"),
    "snip": Criterion("snip"),
    "grasp": Criterion("grasp"),
    "wanda": Criterion("wanda"),
    "sparsegpt": Criterion("sparsegpt", alone="sparsity"),
    "diagonal": Criterion("diagonal"),
    "block, λ = 1e-4": Criterion("block", {"damping": 1e-4}),
    "block": Criterion("block"),
    "correlated": Criterion("correlated"),
    "kfac": Criterion("kfac"),
    "kfac, corrected": Criterion("kfac", {"corrected": True}),
    "damped": Criterion("damped"),
    "features": Criterion("features"),
    "features, whitened": Criterion("features", {"whiten": True}),
}
IMAGES = (8, 32, 128)  # beside the 256 that all are computed on
FEWER = {
    f"{label}, {images} images": Criterion(of.score, {**of.settings, "samples": images})
    for label, of in CRITERIA.items()
    if label in ("diagonal", "damped", "block", "correlated", "kfac", "features", "features, whitened")
    for images in IMAGES
}
GROUPS = {"all": CRITERIA, "choice": CHOICE, "fewer": FEWER}
ANY = CRITERIA | CHOICE | FEWER
SEEDED = {"random": "seed"}  # drawn anew with every seed; the other scores draw images


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
    measuring.add_argument("--criteria", nargs="+", choices=[*GROUPS, *ANY], default=["all"])
    measuring.add_argument("--split", choices=tasks.MEASURED, default="test")
    measuring.add_argument("--bare", action="store_true", help="leave out what masks keep after `reconstruct`")
    measuring.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    commands.add_parser("write").add_argument("docs", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "write":
        from peers_table import write

        write(arguments.docs, FOLDER, list(ANY), tasks.names())
        return
    device = prepare_process(threads=1, seed=0)
    criteria = [name for wanted in arguments.criteria for name in GROUPS.get(wanted, [wanted])]
    for seed in arguments.seeds:
        for name in arguments.backbones:
            measure(name, criteria, arguments.split, seed, not arguments.bare, device)


def measure(
    name: str, criteria: Sequence[str], split: str, seed: int, reconstructed: bool, device: torch.device
) -> None:
    """Measure what has no file yet."""
    missing = [label for label in criteria if not file_of(FOLDER, split, name, seed, label).exists()]
    if not missing:
        return
    planned = plan(name)
    bench = tasks.load(name, planned.images, device)
    dense, unit = bench.correct(bench.backbone, split), _pass_seconds(bench, planned)
    for label in missing:
        about = {"backbone": name, "source": planned.source, "criterion": label, "seed": seed, "split": split}
        about |= {"seconds_of_a_pass": unit, "device": device_name(device)}
        rows = (about | row for row in _rows(bench, planned, ANY[label], split, seed, reconstructed))
        rows = (row | {"dense": dense[row["task"]]} for row in rows)
        write_rows(file_of(FOLDER, split, name, seed, label), rows)


def _rows(
    bench: tasks.Bench, planned: Plan, criterion: Criterion, split: str, seed: int, reconstructed: bool
) -> Iterator[dict[str, Any]]:
    """One row a sparsity, recovery and task: which images are classified right. Seconds are of the processor."""
    task = bench.tasks[planned.source]
    settings = dict(criterion.settings)
    if criterion.score in SEEDED:
        settings[SEEDED[criterion.score]] = seed
    scores, seconds = None, 0.0
    for sparsity in planned.sparsities:
        if scores is None or criterion.alone:
            if criterion.alone:
                settings[criterion.alone] = sparsity
            source = Source(bench.backbone, task.head, task.train, seed, (3, *task.train.images.shape[1:3]))
            start = time.process_time()
            found = find("scores", criterion.score).function(source, **settings)
            seconds = time.process_time() - start
            scores = {name: values.cpu().numpy() for name, values in found.items()}
        mask = mask_tensors(global_mask(scores, sparsity), bench.backbone.device)
        backbone = copy.deepcopy(bench.backbone)
        backbone.prune(mask)
        about = {"sparsity": sparsity, "score_seconds": seconds}
        for name, correct in bench.correct(backbone, split).items():
            yield about | {"recovery": "none", "task": name, "correct": correct}
        if reconstructed:
            case = Case(backbone, bench.backbone, mask, None, task.train, seed)
            reconstruct(case, samples=planned.recovered_with)
            for name, correct in bench.correct(backbone, split).items():
                yield about | {"recovery": "reconstruct", "task": name, "correct": correct}


def _pass_seconds(bench: tasks.Bench, planned: Plan) -> float:
    """Seconds of a forward and a backward pass of a mean loss over 256 images, in batches of 32: the median of three
    after one that warms up."""
    task, backbone = bench.tasks[planned.source], bench.backbone
    images, labels = (tensor[:256].to(backbone.device) for tensor in (task.train.images, task.train.labels))
    weights = [weight.requires_grad_() for weight in backbone.prunable().values()]
    seconds = []
    for _ in range(4):
        start = time.process_time()
        for part in torch.arange(len(labels)).split(32):
            torch.autograd.grad(squared(task.head(backbone(images[part])), labels[part]).mean(), weights)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    main()
