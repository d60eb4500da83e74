"""What jobs took: the files that Snakemake's `benchmark:` leaves under results/<study>/costs. Standard library only."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, processor seconds and peak memory in MB; the last two are None where a job was too short.

    Snakemake samples both, twice a second and after half a minute every 30 s, so they miss what a job did last.
    """

    seconds: float
    cpu_seconds: float | None
    peak_mb: float | None


@dataclass(frozen=True)
class JobCost:
    """The cost of one job: its rule, its name (as in `logs/<job>.log`), and its wildcards."""

    stage: str
    job: str
    wildcards: dict[str, str]
    cost: Cost


def read_cost(path: str | os.PathLike) -> Cost:
    """The cost in one benchmark file. Raises ValueError, naming the file, if it is not one."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file, delimiter="\t")
        return Cost(float(row["s"]), _number(row["cpu_time"]), _number(row["max_rss"]))
    except (KeyError, ValueError, TypeError):
        raise ValueError(f"{path}: not a benchmark file of Snakemake; remove it") from None


def job_costs(
    folder: str | os.PathLike, stages: Mapping[str, str], names: Mapping[str, Container[str]] | None = None
) -> Iterator[JobCost]:
    """The cost of every job that left a benchmark file in `folder`, in the order of their names.

    stages: for each stage a regular expression of its benchmark files' paths with a group a wildcard; files of no
    stage are passed over. names: what a wildcard may stand for; jobs of an earlier config have others and are passed
    over too.
    """
    names = names or {}
    patterns = {stage: re.compile(pattern) for stage, pattern in stages.items()}
    for path in sorted(Path(folder).rglob("*.tsv")):
        for stage, pattern in patterns.items():
            found = pattern.fullmatch(path.as_posix())
            if found and all(value in names.get(key, (value,)) for key, value in found.groupdict().items()):
                job = path.relative_to(folder).with_suffix("").as_posix()
                yield JobCost(stage, job, found.groupdict(), read_cost(path))


def _number(text: str) -> float | None:
    return None if text in ("NA", "-") else float(text)
