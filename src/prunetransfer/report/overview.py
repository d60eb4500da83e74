"""The report's front page: the question, its answer, one figure, what the study took and what made it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pandas as pd

from prunetransfer.report.answer import QUESTION, answer
from prunetransfer.report.findings import Findings
from prunetransfer.report.pages import Block, Heading, Picture, Table

CAPTIONS = {
    "pretrainings": "Mean retention of each pre-training against sparsity, without recovery, on the tasks that all "
    "have. Bands: intervals over images and seeds.",
    "safe": "Accuracy lost on the worst of all targets, sources and seeds, in percentage points, at each sparsity that "
    "was tried. Dark: shown not to lose more than is allowed; light: it does not on the test images, which may be "
    "chance; grey: it does. Bar: as far as the score alone predicts that the loss stays within the tolerance.",
    "targets": "Retention of every target without and after each recovery, at the sparsity that most recoveries were "
    "tried at. Whiskers span the sources.",
}
MADE_BY = {
    "device": "device",
    "revision": "git revision",
    "prunetransfer": "prunetransfer",
    "python": "Python",
    "torch": "PyTorch",
    "cuda": "CUDA it was built for",
    "timm": "timm",
}  # column of COSTS → in words


def overview(found: Findings, costs: pd.DataFrame, figures: Mapping[str, Path]) -> list[Block]:
    """costs: a table of the schema COSTS; figures: name in CAPTIONS → its PNG, in the order of the page."""
    return [
        Heading(QUESTION, 1),
        *answer(found),
        *(Picture(path, CAPTIONS[name]) for name, path in figures.items()),
        Heading("What it took"),
        _total(costs),
        _by_stage(costs),
        Heading("What made it"),
        _made_by(costs),
    ]


def _total(costs: pd.DataFrame) -> str:
    seconds, cpu_seconds = (timedelta(seconds=round(costs[column].sum())) for column in ("seconds", "cpu_seconds"))
    return (
        f"{len(costs)} jobs: {seconds} (h:mm:ss) one after the other, {cpu_seconds} of processor time or more, "
        "as it is sampled. "
        f"One job held at most {costs['peak_mb'].max() / 1000:.1f} GB of memory."
    )


def _by_stage(costs: pd.DataFrame) -> Table:
    """A row a stage, the longest first."""
    stages = costs.groupby("stage").agg(
        jobs=("job", "size"), seconds=("seconds", "sum"), cpu=("cpu_seconds", "sum"), peak=("peak_mb", "max")
    )
    total, rows = max(stages["cpu"].sum(), 1e-9), []
    for row in stages.sort_values("cpu", ascending=False).itertuples():
        times = (f"{row.seconds:.0f}", f"{row.cpu:.0f}", f"{row.cpu / total:.0%}")
        rows.append((row.Index.replace("_", " "), row.jobs, *times, "-" if pd.isna(row.peak) else f"{row.peak:.0f}"))
    return Table(("stage", "jobs", "seconds", "processor seconds", "share", "most memory, MB"), rows)


def _made_by(costs: pd.DataFrame) -> Table:
    """Every value there is of each fact: several where the study was made in pieces."""
    found = {told: sorted(costs[column].dropna().unique()) for column, told in MADE_BY.items()}
    return Table(("what", "which"), [(told, ", ".join(values)) for told, values in found.items() if values])
