"""What recoveries without training give back, by the images that they see: the embedded backbones, magnitude masks.

python benchmarks/recoveries.py [--images N] [--ridge λ] [--sparsities Q ...]: a Markdown table a backbone, as in
docs/recoveries.md. `mixed` is one third of each task; every other column was seen by the recovery as named.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping

import torch
from tasks import STUDIES, backbone_of, config_of, split_of
from torch import Tensor

from prunetransfer.datasets.splits import Split, uniform_subset
from prunetransfer.heads import Head
from prunetransfer.heads.ridge import fit_ridge
from prunetransfer.models.backbones import Backbone, extract_features
from prunetransfer.pruning.masks import global_mask
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.moments import moments
from prunetransfer.recovery.reconstruct import reconstruct

STUDY = "config.yaml"
TASKS = STUDIES[STUDY]
POSITIONS = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--ridge", type=float, default=0.01)
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.3, 0.5, 0.7, 0.8, 0.9])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = config_of(STUDY)
    for name, settings in config["backbones"].items():
        splits = {
            task: {split: split_of(task, split, config, settings) for split in ("train", "test")} for task in TASKS
        }
        print(f"\n{name}\n\n| sparsity | recovery | images | {' | '.join(TASKS)} |\n|{' --- |' * (3 + len(TASKS))}")
        measure(backbone_of(settings), splits, arguments)


def measure(dense: Backbone, splits: Mapping[str, Mapping[str, Split]], arguments: argparse.Namespace) -> None:
    """Print a line a sparsity, recovery and source of images: retention on each task."""
    heads = {}
    for task, split in splits.items():
        train = split["train"]
        heads[task] = fit_ridge(extract_features(dense, train.images), train.labels, len(train.classes))
    full = _accuracies(dense, heads, splits)
    sources = {task: _draw(split["train"].images, arguments.images) for task, split in splits.items()}
    share = arguments.images // len(sources)
    sources["mixed"] = torch.cat([_draw(images, share) for images in sources.values()])
    scores = {name: weight.detach().abs().numpy() for name, weight in dense.prunable().items()}

    def tell(backbone: Backbone, *labels: str) -> None:
        found = _accuracies(backbone, heads, splits)
        print("|", " | ".join([*labels, *(f"{found[task] / full[task]:.3f}" for task in full)]), "|", flush=True)

    for sparsity in arguments.sparsities:
        mask = {name: torch.from_numpy(keep) for name, keep in global_mask(scores, sparsity).items()}
        pruned = copy.deepcopy(dense)
        pruned.prune(mask)
        tell(pruned, f"{sparsity:g}", "none", "")
        for source, images in sources.items():
            seen = Split(images, None, ())
            matched, solved = copy.deepcopy(pruned), copy.deepcopy(pruned)
            moments(Case(matched, dense, mask, None, seen, 0), samples=len(images))
            tell(matched, f"{sparsity:g}", "moments", source)
            settings = {"samples": len(images), "positions": POSITIONS, "ridge": arguments.ridge}
            reconstruct(Case(solved, dense, mask, None, seen, 0), **settings)
            tell(solved, f"{sparsity:g}", "reconstruct", source)
            moments(Case(solved, dense, mask, None, seen, 0), samples=len(images))
            tell(solved, f"{sparsity:g}", "reconstruct+moments", source)


def _accuracies(backbone: Backbone, heads: Mapping[str, Head], splits: Mapping[str, Mapping[str, Split]]) -> dict:
    found = {}
    for task, head in heads.items():
        test = splits[task]["test"]
        correct = head(extract_features(backbone, test.images)).argmax(1) == test.labels
        found[task] = correct.float().mean().item()
    return found


def _draw(images: Tensor, count: int) -> Tensor:
    return images[uniform_subset(images, count, seed=0)]


if __name__ == "__main__":
    main()
