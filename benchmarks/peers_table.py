"""What `peers.py` has measured, as Markdown: retention by criterion, what its choice rests on, and what each costs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from measuring import machine, write_section

from prunetransfer.analysis.paired import Cell, mean_ratio, retention_difference

CONFIDENCE = 0.95
RECOVERIES = {"none": "bare masks", "reconstruct": "after `reconstruct`"}


def write(page: Path, folder: Path) -> None:
    """Put the tables of all that `folder` holds into their sections of a page."""
    frame = read(folder)
    write_section(page, "peers", "\n".join(_retention_tables(frame[frame["split"] == "test"])))
    write_section(page, "peers-choice", "\n".join(_choice_table(frame[frame["split"] == "held_out"])))
    write_section(page, "peers-costs", "\n".join(_cost_table(frame)))


def read(folder: Path) -> pd.DataFrame:
    """All rows; those of a criterion that one seed says all about stand under every seed, so that seeds pair."""
    frame = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*/*.parquet"))], ignore_index=True)
    seeds = sorted(frame["seed"].unique())
    by = ["backbone", "split", "criterion", "recovery"]
    alone = frame.groupby(by)["seed"].transform("nunique") == 1
    copies = [frame[alone].assign(seed=seed) for seed in seeds if seed != seeds[0]]
    return pd.concat([frame, *copies], ignore_index=True)


def cells(group: pd.DataFrame) -> list[Cell]:
    """One a task and seed, in one order."""
    ordered = group.sort_values(["task", "seed"])
    return [Cell(row.task, row.seed, row.dense, row.correct) for row in ordered.itertuples()]


def _retention_tables(frame: pd.DataFrame) -> Iterator[str]:
    """A table a backbone and recovery: source / unseen mean / unseen worst at each sparsity; the best unseen means and
    those that are indistinguishable from them in bold."""
    for (backbone, recovery), of in frame.groupby(["backbone", "recovery"], sort=False):
        sparsities = sorted(of["sparsity"].unique())
        yield f"`{backbone}`, pruned with {of['source'].iloc[0]}, {RECOVERIES[recovery]}:\n"
        yield "| | " + " | ".join(f"{100 * sparsity:g}%" for sparsity in sparsities) + " |"
        yield "| --- |" + " --- |" * len(sparsities)
        columns = {sparsity: _column(of[of["sparsity"] == sparsity]) for sparsity in sparsities}
        for criterion in of["criterion"].unique():
            row = [columns[sparsity].get(criterion, "") for sparsity in sparsities]
            yield f"| {criterion} | " + " | ".join(row) + " |"
        yield ""


def _column(frame: pd.DataFrame) -> dict[str, str]:
    """Criterion → source / unseen mean / unseen worst, at one sparsity."""
    groups = dict(list(frame.groupby("criterion", sort=False)))
    unseen = {name: cells(group[group["task"] != group["source"]]) for name, group in groups.items()}
    means = {name: mean_ratio(of, CONFIDENCE).value for name, of in unseen.items()}
    first = max(means, key=means.__getitem__)
    texts = {}
    for name, group in groups.items():
        by_task = retentions(group).groupby("task")["retention"].mean()
        source = by_task[group["source"].iloc[0]]
        worst = by_task.drop(group["source"].iloc[0]).min()
        text = f"{means[name]:.2f}"
        if indistinguishable(unseen[first], unseen[name]):
            text = f"**{text}**"
        texts[name] = f"{source:.2f} / {text} / {worst:.2f}"
    return texts


def indistinguishable(first: list[Cell], other: list[Cell]) -> bool:
    """Whether the interval of the difference in mean retention reaches 0."""
    return first is other or retention_difference(zip(first, other, strict=True), CONFIDENCE).low <= 0


def retentions(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with their retention."""
    correct, dense = (frame[name].map(np.mean) for name in ("correct", "dense"))
    return frame.assign(retention=correct / dense)


def shortfalls(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean unseen retention of the best criterion minus that of each: one row a backbone and sparsity."""
    of = retentions(frame[frame["task"] != frame["source"]])
    means = of.groupby(["backbone", "sparsity", "criterion"])["retention"].mean().unstack("criterion")
    return means.rsub(means.max(axis=1), axis=0)


def _choice_table(frame: pd.DataFrame) -> Iterator[str]:
    """How far each criterion falls behind the best one, on held-out train images, in percentage points."""
    found = {recovery: 100 * shortfalls(of) for recovery, of in frame.groupby("recovery")}
    names = [name for name in RECOVERIES if name in found]
    yield "| | " + " | ".join(f"{RECOVERIES[name]}: most | mean" for name in names) + " |"
    yield "| --- |" + " ---: |" * (2 * len(names))
    order = found[names[0]].max().sort_values().index
    for criterion in order:
        numbers = [f"{of(found[name][criterion]):.1f}" for name, of in product(names, (pd.Series.max, pd.Series.mean))]
        yield f"| {criterion} | " + " | ".join(numbers) + " |"
    yield ""


def _cost_table(frame: pd.DataFrame) -> Iterator[str]:
    """Seconds of each score as multiples of a forward and backward pass over as many images, by backbone."""
    of = frame.assign(ratio=frame["score_seconds"] / frame["seconds_of_a_pass"])
    found = of.groupby(["criterion", "backbone"], sort=False)["ratio"].median().unstack("backbone")
    yield f"{machine(torch.device('cpu'))}; other work ran beside.\n"
    yield "| | " + " | ".join(f"`{name}`" for name in found.columns) + " |"
    yield "| --- |" + " ---: |" * len(found.columns)
    for criterion, row in found.iterrows():
        yield f"| {criterion} | " + " | ".join("" if pd.isna(ratio) else f"{ratio:.1f}" for ratio in row) + " |"
    yield ""
