"""The subcommand `prunetransfer export`: a study's pruned backbone as a folder that needs no line of this project."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from prunetransfer.runtime.messages import no_such

DESCRIPTION = """\
Write one pruned backbone of a finished study as a folder: weights that timm loads, a program in ONNX or of
torch.export, its mask, the heads of the study's tasks, and a model card with what was measured. Run it in the project's
folder. docs/export.md says what the folder holds and how to load it."""
EXAMPLES = """\
examples:
  prunetransfer export results/mini --backbone vit-supervised --safe --out my-vit
  prunetransfer export results/mini --backbone vit-supervised --criterion features@digits --mask 0.5 \\
      --recovery reconstruct@digits --format safetensors --format sparse --out my-vit
"""


def add_export(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand; nothing that it needs is imported before it runs."""
    parser = commands.add_parser(
        "export",
        help="write a study's pruned backbone as a folder for timm, ONNX or torch.export",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", type=Path, help="the study's folder, e.g. results/mini")
    parser.add_argument("--backbone", required=True, help="its name in the study's config")
    parser.add_argument("--criterion", help="the score with its source, features@digits, or a data-free score alone")
    parser.add_argument("--mask", help="the mask's name, which is its sparsity: 0.5")
    parser.add_argument("--recovery", help="the recovery with its source, reconstruct@digits; without it: none")
    parser.add_argument(
        "--safe",
        action="store_true",
        help="in place of these three: the largest sparsity that the study guarantees on all its unseen tasks",
    )
    parser.add_argument("--seed", type=int, help="one of the study's seeds; without it: the first")
    parser.add_argument(
        "--format",
        action="append",
        default=[],
        dest="formats",
        metavar="FORMAT",
        help="safetensors (timm's layout), torch-export, onnx or sparse; may be given several times; without it: "
        "safetensors and onnx, or torch-export and onnx where the architecture is not timm's",
    )
    parser.add_argument(
        "--configfile", type=Path, help="the study's file, where it is neither config.yaml nor in studies/"
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write, absent or empty")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    try:
        export_of_study(arguments)
    except ValueError as error:
        sys.exit(f"prunetransfer: {error}")


def export_of_study(arguments: argparse.Namespace) -> None:
    """Write what the arguments name. Raises ValueError, in one line, for whatever the study does not have."""
    named = {key: getattr(arguments, key) for key in ("criterion", "mask", "recovery")}
    if arguments.safe and any(named.values()):
        given = ", ".join(f"--{key}" for key, value in named.items() if value)
        raise ValueError(f"--safe chooses by itself; leave out {given}")
    if not arguments.safe and not (arguments.criterion and arguments.mask):
        raise ValueError("name what to export by --criterion and --mask, or give --safe")
    configfile = study_file(arguments.results, arguments.configfile)

    from prunetransfer.deploy.export import check_free, check_known, checked_formats, export
    from prunetransfer.deploy.from_study import pruned_model
    from prunetransfer.deploy.study import Choice, Study
    from prunetransfer.stages.dry_run import dry_run

    check_free(arguments.out)
    check_known(arguments.formats)
    study = Study(dry_run(configfile))
    seed = study.config["seeds"][0] if arguments.seed is None else arguments.seed
    if arguments.safe:
        choice = study.safest(arguments.backbone, seed)
    else:
        choice = Choice(arguments.backbone, arguments.criterion, arguments.recovery or "none", arguments.mask, seed)
        study.check(choice)
    checked_formats(arguments.formats, study.config["backbones"][choice.backbone]["architecture"])
    model = pruned_model(study, choice, arguments.safe)
    export(arguments.out, model, arguments.formats)
    named = f"{choice.backbone}, {choice.criterion}, {choice.mask}, {choice.recovery}, seed {choice.seed}"
    print(f"{arguments.out}: {named}; {', '.join(sorted(file.name for file in arguments.out.iterdir()))}")


def study_file(results: Path, given: Path | None) -> Path:
    """The file of the study whose results lie in a folder: `given`, config.yaml, or one in studies/.

    Raises ValueError, naming the studies that there are, if none of them is called as the folder is.
    """
    from prunetransfer.config.extending import read_study

    files = [given] if given else [Path("config.yaml"), *sorted(Path("studies").glob("*.yaml"))]
    studies = {}
    for file in files:
        if not file.is_file():
            raise ValueError(f"{file}: no such file; run this in the project's folder")
        studies.setdefault(read_study(file).get("study"), file)
    if results.name not in studies:
        raise ValueError(f"{results}: {no_such('study', results.name, list(studies))}")
    if results.resolve() != Path("results", results.name).resolve() or not results.is_dir():
        raise ValueError(f"{results}: there are no results here; a study's results lie in results/{results.name}")
    return studies[results.name]
