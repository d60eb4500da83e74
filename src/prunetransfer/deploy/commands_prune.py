"""The subcommand `prunetransfer prune`: a backbone and a folder of images, or none, to a folder to take home."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

DESCRIPTION = """\
Prune one backbone and write it as a folder: weights that timm loads, a program in ONNX or of torch.export, its mask,
and a model card. No labels are read, and without --images no data at all: images made from nothing take their place.
docs/export.md says what the folder holds and how to load it, docs/recoveries.md what the defaults rest on."""
EXAMPLES = """\
examples:
  prunetransfer prune --backbone resnet50.a1_in1k --images photographs --sparsity 0.5 --out my-resnet
  prunetransfer prune --backbone vit_base_patch16_224.dino --sparsity 0.3 --evaluate flowers --evaluate birds --out vit
  prunetransfer prune --backbone network.py:build --checkpoint weights.pt --size 96 --mean 0.5 0.5 0.5 \\
      --std 0.25 0.25 0.25 --images photographs --sparsity 0.5 --out mine
"""


def add_prune(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand; nothing that it needs is imported before it runs."""
    parser = commands.add_parser(
        "prune",
        help="prune a backbone with a folder of images, or none, and write it for timm, ONNX or torch.export",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what is pruned")
    what.add_argument(
        "--backbone", required=True, help="a name of timm, its tag included, torchvision:NAME, or file.py:factory"
    )
    what.add_argument(
        "--checkpoint",
        help="a file, an https:// address, torchvision:ENUM.MEMBER, package:FILE or random; without it: what timm "
        "publishes for the name",
    )
    what.add_argument("--entry", help="the key of the checkpoint that holds the state dict, keys joined by slashes")
    what.add_argument("--prefix", default="", help="only tensors whose name starts so, without it")
    what.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="of the architecture, as img_size=64"
    )
    images = parser.add_argument_group("how images are prepared, where the model does not say it")
    images.add_argument("--size", type=int, help="pixels of a side")
    images.add_argument("--mean", type=float, nargs=3, help="of each channel, in units of the range of 8 bits")
    images.add_argument("--std", type=float, nargs=3, help="likewise")
    how = parser.add_argument_group("how it is pruned")
    how.add_argument("--sparsity", type=float, required=True, help="share of the prunable weights that go")
    how.add_argument("--images", type=Path, metavar="FOLDER", help="any images, however deep; labels are not read")
    how.add_argument("--score", default="features", help="one that reads no labels: features, magnitude, wanda, …")
    how.add_argument(
        "--mask",
        default="unstructured",
        help="which weights may go together: unstructured (the default), 2:4, channels (the model gets smaller and "
        "faster), or settings, as '{allocation: erk}'",
    )
    how.add_argument(
        "--rounds", type=int, help="steps, with reconstruct between them (4; 1 for a mask that is made at once)"
    )
    how.add_argument(
        "--recovery",
        default="best",
        help="after the last step: best (refine, or reconstruct where refining would leave the pattern), reconstruct, "
        "moments, … or none",
    )
    how.add_argument("--samples", type=int, default=256, help="images that are read at most (256)")
    how.add_argument(
        "--procedural", type=int, help="images made from nothing beside them; without it: as many as --samples"
    )
    how.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="weights that stay dense")
    how.add_argument("--seed", type=int, default=0, help="of what is drawn (0)")
    how.add_argument("--threads", type=int, help="of the CPU; without it: all that PyTorch takes")
    out = parser.add_argument_group("what comes out")
    out.add_argument(
        "--evaluate",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="a labelled folder, train/CLASS and test/CLASS or CLASS alone: accuracy before and after, read by a "
        "linear head that is fitted on the dense backbone's features",
    )
    out.add_argument(
        "--format",
        action="append",
        default=[],
        dest="formats",
        metavar="FORMAT",
        help="safetensors (timm's layout), torch-export, onnx or sparse; may be given several times",
    )
    out.add_argument("--out", type=Path, required=True, help="the folder to write, absent or empty")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    try:
        options = dict(_option(text) for text in arguments.option)

        from prunetransfer.deploy.prune_to_folder import prune_to_folder

        prune_to_folder(arguments, options)
    except ValueError as error:
        sys.exit(f"prunetransfer: {error}")


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise ValueError(f"--option {text}: write KEY=VALUE, as in img_size=64")
    return key, yaml.safe_load(value)
