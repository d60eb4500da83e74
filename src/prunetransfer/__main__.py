"""`prunetransfer summary results/STUDY`: a study's results in the terminal, or what they still lack."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from prunetransfer.report.findings import Findings
from prunetransfer.report.summary import summarise
from prunetransfer.storage.artifacts import ArtifactError
from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.tables import read_table


def main() -> None:
    """Entry point of the `prunetransfer` command."""
    parser = argparse.ArgumentParser(prog="prunetransfer", description="How far can a backbone be pruned?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    summary = commands.add_parser("summary", help="print a finished study's retention and its verdicts on P1 and P2")
    summary.add_argument("results", type=Path, help="the study's folder, e.g. results/mini")
    arguments = parser.parse_args()
    try:
        print(_summary(arguments.results))
    except ArtifactError as error:
        sys.exit(f"prunetransfer: {error}")


def _summary(results: Path) -> str:
    names = ["accuracy", *(field.name for field in fields(Findings))]
    tables = {name: results / f"tables/{name}.parquet" for name in names}
    missing = [name for name, path in tables.items() if not path.exists()]
    if missing:
        sys.exit(f"prunetransfer: {_unfinished(results, missing)}")
    text = summarise(read_table(tables["accuracy"], ACCURACY), Findings.read(tables))
    names = {"tables": "tables", "figures": "figures", "verdicts": "verdicts.md", "report": "report.html"}
    places = {name: results / file for name, file in names.items()}
    return text + "\n" + "\n".join(f"{name:10}{path}" for name, path in places.items() if path.exists())


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


if __name__ == "__main__":
    main()
