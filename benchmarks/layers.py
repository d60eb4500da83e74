"""Does the sum of a score say what a layer's removal costs? Each layer alone is pruned, and the features compared.

    python benchmarks/layers.py docs

writes the table to docs/findings.md. benchmarks/tasks.py says what it needs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tasks
import torch
from measuring import write_section
from recipes import IMAGES, PLANS
from scipy.stats import spearmanr

from prunetransfer.deploy.recipe import Material, scored
from prunetransfer.models.backbones import extract_features
from prunetransfer.pruning.apply import pruned
from prunetransfer.pruning.masks import global_mask

SCORES = ("magnitude", "features")
SPARSITY = 0.5  # of the layer
SEEN = 100  # held-out images of each task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("docs", type=Path)
    docs = parser.parse_args().docs
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    write_section(docs / "findings.md", "layers", "\n".join([*_table(), ""]))


def _table() -> Iterator[str]:
    columns = ["", "layers", *(f"`{score}`, {where}" for score in SCORES for where in ("source", "unseen"))]
    yield f"| {' | '.join(columns)} |"
    yield "| --- | ---: |" + " ---: |" * (2 * len(SCORES))
    for name in tasks.names():
        source = PLANS[name.split("-")[0]][0]
        bench = tasks.load(name, SEEN, torch.device("cpu"))
        material = Material(bench.backbone, bench.tasks[source].train, samples=IMAGES // 2)
        dense = {task: extract_features(bench.backbone, of.held_out.images) for task, of in bench.tasks.items()}
        entries = []
        for score in SCORES:
            scores = {layer: values.numpy() for layer, values in scored(material, score).items()}
            predicted, changes = zip(*(_one(bench, dense, scores, layer) for layer in scores), strict=True)
            own = [change[source] for change in changes]
            unseen = [np.mean([value for task, value in change.items() if task != source]) for change in changes]
            entries += [f"{spearmanr(predicted, measured).statistic:.2f}" for measured in (own, unseen)]
        yield f"| `{name}` | {len(scores)} | {' | '.join(entries)} |"


def _one(
    bench: tasks.Bench, dense: dict[str, torch.Tensor], scores: dict[str, np.ndarray], layer: str
) -> tuple[float, dict[str, float]]:
    """The sum of what a layer loses at SPARSITY, and by task the mean squared change of the features from `dense`."""
    mask = {name: np.ones(values.shape, dtype=bool) for name, values in scores.items()}
    mask |= global_mask({layer: scores[layer]}, SPARSITY)
    changes = {}
    with pruned(bench.backbone, {name: torch.from_numpy(keep) for name, keep in mask.items()}):
        for name, task in bench.tasks.items():
            moved = extract_features(bench.backbone, task.held_out.images) - dense[name]
            changes[name] = float(moved.square().sum(1).mean() / dense[name].square().sum(1).mean())
    return float(scores[layer][~mask[layer]].sum(dtype=np.float64)), changes


if __name__ == "__main__":
    main()
