"""What recoveries without training give back, by the images that they see: the embedded backbones, magnitude masks.

python benchmarks/recoveries.py [--images N] [--ridge λ] [--sparsities Q ...]: a Markdown table a backbone, as in
docs/recoveries.md. `mixed` is one third of each task; every other column was seen by the recovery as named.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from torch import Tensor

from prunetransfer.config import validate_config
from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.prepared import Preparation, write_split
from prunetransfer.datasets.splits import Split, read_split, uniform_subset
from prunetransfer.heads import Head
from prunetransfer.heads.ridge import fit_ridge
from prunetransfer.models.backbones import Backbone, build_backbone, extract_features
from prunetransfer.models.checkpoints import convert, read_checkpoint
from prunetransfer.models.sources import fetch
from prunetransfer.pruning.masks import global_mask
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.moments import moments
from prunetransfer.recovery.reconstruct import reconstruct

ROOT = Path(__file__).parents[1]
TASKS = ("digits", "glyphs", "textures")
POSITIONS = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--ridge", type=float, default=0.01)
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.3, 0.5, 0.7, 0.8, 0.9])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config = validate_config(config, ROOT / "workflow/schemas/config.schema.json", root=ROOT)
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in config["backbones"].items():
            preparation = Preparation(*(settings[key] for key in ("size", "interpolation", "crop", "crop_mode")))
            splits = {task: _splits(task, preparation, Path(folder)) for task in TASKS}
            print(f"\n{name}\n\n| sparsity | recovery | images | {' | '.join(TASKS)} |\n|{' --- |' * (3 + len(TASKS))}")
            measure(_backbone(settings), splits, arguments)


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


def _splits(task: str, preparation: Preparation, folder: Path) -> dict[str, Split]:
    found = {}
    for split in ("train", "test"):
        path = folder / f"{task}-{preparation.size}-{split}.safetensors"
        if not path.exists():
            write_split(path, load_samples(task, split, {}, ROOT), preparation, {})
        found[split] = read_split(path)
    return found


def _backbone(settings: Mapping) -> Backbone:
    backbone = build_backbone(settings)
    checkpoint = fetch(settings["weights"]["source"], settings["architecture"], Path("resources/downloads"))
    state = convert(read_checkpoint(checkpoint), backbone.network)
    backbone.network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return backbone


if __name__ == "__main__":
    main()
