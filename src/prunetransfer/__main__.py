"""`prunetransfer summary results/STUDY`: a finished study's results in the terminal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from prunetransfer.analysis.summary import summarise
from prunetransfer.artifacts import ArtifactError
from prunetransfer.schemas.accuracy import ACCURACY
from prunetransfer.schemas.safe import SAFE_SPARSITY
from prunetransfer.schemas.verdicts import VERDICTS
from prunetransfer.tables import read_table


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
    tables = results / "tables"
    text = summarise(
        read_table(tables / "accuracy.parquet", ACCURACY),
        read_table(tables / "verdicts.parquet", VERDICTS),
        read_table(tables / "safe_sparsity.parquet", SAFE_SPARSITY),
    )
    names = {"tables": "tables", "figures": "figures", "verdicts": "verdicts.md", "report": "report.html"}
    places = {name: results / file for name, file in names.items()}
    return text + "\n" + "\n".join(f"{name:10}{path}" for name, path in places.items() if path.exists())


if __name__ == "__main__":
    main()
