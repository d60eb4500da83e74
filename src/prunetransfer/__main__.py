"""The command `prunetransfer`: a study's plan, results and single jobs, and models to take home."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from prunetransfer.deploy.commands_export import add_export
from prunetransfer.deploy.commands_prune import add_prune
from prunetransfer.storage.artifacts import ArtifactError


def main() -> None:
    """Entry point of the `prunetransfer` command."""
    parser = argparse.ArgumentParser(prog="prunetransfer", description="How far can a backbone be pruned?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    summary = commands.add_parser("summary", help="print a finished study's retention and its verdicts on P1 and P2")
    summary.add_argument("results", type=Path, help="the study's folder, e.g. results/mini")
    summary.set_defaults(run=_summary)
    plan = commands.add_parser("plan", help="print what a run would do and take, before it does anything")
    plan.add_argument("targets", nargs="*", help="what to make, where it is not all")
    plan.set_defaults(run=_plan)
    job = commands.add_parser("job", help="run the script of one job in this process, its inputs being there")
    job.add_argument("rule", help="e.g. build_mask")
    job.add_argument("wildcards", nargs="*", metavar="KEY=VALUE", help="as many as name one job")
    job.set_defaults(run=_job)
    for command in (plan, job):
        command.add_argument("--configfile", type=Path, help="the study, where it is not config.yaml")
    add_prune(commands)
    add_export(commands)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except ArtifactError as error:
        sys.exit(f"prunetransfer: {error}")


def _summary(arguments: argparse.Namespace) -> None:
    from prunetransfer.report.findings import Findings
    from prunetransfer.report.summary import summarise
    from prunetransfer.storage.schemas.accuracy import ACCURACY
    from prunetransfer.storage.tables import read_table

    results = arguments.results
    names = ["accuracy", *(field.name for field in fields(Findings))]
    tables = {name: results / f"tables/{name}.parquet" for name in names}
    missing = [name for name, path in tables.items() if not path.exists()]
    if missing:
        sys.exit(f"prunetransfer: {_unfinished(results, missing)}")
    print(summarise(read_table(tables["accuracy"], ACCURACY), Findings.read(tables)))
    names = {"tables": "tables", "figures": "figures", "verdicts": "verdicts.md", "report": "report.html"}
    places = {name: results / file for name, file in names.items()}
    print("\n".join(f"{name:10}{path}" for name, path in places.items() if path.exists()))


def _unfinished(results: Path, missing: Sequence[str]) -> str:
    """What a study lacks for its summary, and how far it has come."""
    if not results.is_dir():
        there = sorted(str(path) for path in results.parent.glob("*") if path.is_dir())
        return f"{results}: no such study" + (f"; there are {', '.join(there)}" if there else "")
    made = {
        stage: len([*results.glob(f"{stage}/**/*.safetensors")]) for stage in ("heads", "scores", "masks", "recovered")
    }
    made["evaluations"] = len([*results.glob("evaluations/**/*.predictions.parquet")])
    return (
        f"{results} is not finished: it lacks the tables {', '.join(missing)}. So far it has "
        f"{', '.join(f'{count} {stage}' for stage, count in made.items())}. Run its snakemake command again: "
        "it goes on where it stopped, and with --dry-run it lists the jobs that are left."
    )


def _plan(arguments: argparse.Namespace) -> None:
    from prunetransfer.stages.dry_run import downloads, planned, recorded
    from prunetransfer.stages.planning import page, plan

    workflow = _dry_run(arguments.configfile, arguments.targets)
    config, jobs = workflow.globals["config"], list(planned(workflow))
    print(page(config["study"], plan(jobs, recorded(workflow)), list(downloads(jobs, config["backbones"]))))


def _job(arguments: argparse.Namespace) -> None:
    from prunetransfer.stages.dry_run import run_by_hand

    wildcards = dict(pair.partition("=")[::2] for pair in arguments.wildcards)
    try:
        run_by_hand(_dry_run(arguments.configfile), arguments.rule, **wildcards)
    except ValueError as error:
        sys.exit(f"prunetransfer: {error}")


def _dry_run(configfile: Path | None, targets: Sequence[str] = ()):
    """Of a study in the working folder, with the caches where Snakemake can write them."""
    if not Path("Snakefile").exists():
        sys.exit("prunetransfer: there is no Snakefile here; run it in the project's folder")
    from prunetransfer.runtime.caches import settle_caches
    from prunetransfer.stages.dry_run import dry_run

    if moved := settle_caches():
        print(moved, file=sys.stderr)
    return dry_run(configfile, targets)


if __name__ == "__main__":
    main()
