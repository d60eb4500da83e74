"""What `peers.py` has measured, as Markdown and a figure: retention by criterion, what its choice rests on, costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from measuring import machine, write_section
from rows import gather

from prunetransfer.analysis.paired import Cell, mean_ratio, retention_difference
from prunetransfer.figures.style import DPI, WIDTH, draw_dense, legend_below, plain_looks, styled

CONFIDENCE = 0.95
MEASURED = Path(__file__).parent / "measured/peers.parquet"
RECOVERIES = {"none": "bare masks", "reconstruct": "after `reconstruct`"}
FEWER = r"^(?P<criterion>.*), (?P<images>\d+) images$"


def write(docs: Path, folder: Path, criteria: Sequence[str], backbones: Sequence[str]) -> None:
    """Put the tables of all that `folder` holds into their sections of peers.md, and the figure beside it; what was not
    measured stays as it is.

    criteria, backbones: all that there are, in the order of the tables.
    """
    page = docs / "peers.md"
    measured = read(folder, criteria, backbones)
    tested, held_out = (measured[measured["split"] == split] for split in ("test", "held_out"))
    few = tested["criterion"].str.fullmatch(FEWER)
    all_images = tested[~few]
    for section, table, rows in (
        ("peers", _retention_tables, all_images),
        ("summary", _shortfall_table, all_images),
        ("choice", _shortfall_table, held_out),
        ("costs", _cost_table, all_images),
    ):
        if len(rows):
            write_section(page, section, "\n".join(table(rows)))
    if few.any():
        images_figure(tested).savefig(docs / "figures/criteria-images.png", dpi=DPI)


def read(folder: Path, criteria: Sequence[str], backbones: Sequence[str]) -> pd.DataFrame:
    """All rows, in the order of the tables."""
    frame = gather(folder, MEASURED, ["split", "backbone", "criterion", "seed", "sparsity", "recovery", "task"])
    places = {name: place for place, name in enumerate([*backbones, *criteria])}
    return frame.sort_values(
        ["backbone", "criterion", "seed", "sparsity"],
        key=lambda column: column.map(places).fillna(column),
        kind="stable",
    )


def cells(group: pd.DataFrame) -> list[Cell]:
    """One a task and seed, in one order."""
    ordered = group.sort_values(["task", "seed"])
    return [Cell(row.task, row.seed, row.dense, row.correct) for row in ordered.itertuples()]


def unseen(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of tasks that no score saw."""
    return frame[frame["task"] != frame["source"]]


def _retention_tables(frame: pd.DataFrame) -> Iterator[str]:
    """A table a backbone and recovery: source / unseen mean / unseen worst at each sparsity; the best unseen means and
    those that are indistinguishable from them in bold."""
    for (backbone, recovery), of in frame.groupby(["backbone", "recovery"], sort=False):
        sparsities = sorted(of["sparsity"].unique())
        yield f"`{backbone}`, pruned with {of['source'].iloc[0]}, {RECOVERIES[recovery]}{_seeds(of)}.\n"
        yield "| | " + " | ".join(f"{100 * sparsity:g}%" for sparsity in sparsities) + " |"
        yield "| --- |" + " --- |" * len(sparsities)
        columns = {sparsity: _column(of[of["sparsity"] == sparsity]) for sparsity in sparsities}
        for criterion in of["criterion"].unique():
            row = [columns[sparsity].get(criterion, "") for sparsity in sparsities]
            yield f"| {criterion} | " + " | ".join(row) + " |"
        yield ""


def _seeds(frame: pd.DataFrame) -> str:
    """How many seeds there are, and which criteria have fewer."""
    counts = frame.groupby("criterion", sort=False)["seed"].nunique()
    fewer = counts[counts < counts.max()]
    others = f" ({'; '.join(f'{name}: {count}' for name, count in fewer.items())})" if len(fewer) else ""
    return f", seeds: {counts.max()}{others}"


def _column(frame: pd.DataFrame) -> dict[str, str]:
    """Criterion → source / unseen mean / unseen worst, at one sparsity."""
    groups = dict(list(frame.groupby("criterion", sort=False)))
    means = {name: mean_ratio(cells(unseen(group)), CONFIDENCE).value for name, group in groups.items()}
    best = groups[max(means, key=means.__getitem__)]
    texts = {}
    for name, group in groups.items():
        by_task = retentions(group).groupby("task")["retention"].mean()
        source = group["source"].iloc[0]
        text = f"{means[name]:.2f}"
        if indistinguishable(best, group):
            text = f"**{text}**"
        texts[name] = f"{by_task[source]:.2f} / {text} / {by_task.drop(source).min():.2f}"
    return texts


def indistinguishable(best: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether the interval of the difference in mean unseen retention reaches 0, over the seeds that both have."""
    if best is other:
        return True
    shared = set(best["seed"]) & set(other["seed"])
    first, second = (cells(unseen(of[of["seed"].isin(shared)])) for of in (best, other))
    return retention_difference(zip(first, second, strict=True), CONFIDENCE).low <= 0


def retentions(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with their retention."""
    correct, dense = (frame[name].map(np.mean) for name in ("correct", "dense"))
    return frame.assign(retention=correct / dense)


def shortfalls(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean unseen retention of the best criterion minus that of each: one row a backbone and sparsity."""
    means = retentions(unseen(frame)).groupby(["backbone", "sparsity", "criterion"])["retention"].mean()
    table = means.unstack("criterion")
    return table.rsub(table.max(axis=1), axis=0)


def _shortfall_table(frame: pd.DataFrame) -> Iterator[str]:
    """How far each criterion falls behind the best one of each backbone and sparsity, in percentage points: at most, on
    average, and where it is at most."""
    for recovery, of in frame.groupby("recovery"):
        found = 100 * shortfalls(of)
        what = RECOVERIES[recovery]
        yield f"{what[0].upper()}{what[1:]}, on {len(found)} pairs of a backbone and a sparsity:\n"
        yield "| | at most | on average | at most on |"
        yield "| --- | ---: | ---: | --- |"
        for criterion in found.max().sort_values().index:
            of_one = found[criterion].dropna()
            backbone, sparsity = of_one.idxmax()
            where = f"`{backbone}`, {100 * sparsity:g}%"
            yield f"| {criterion} | {of_one.max():.1f} | {of_one.mean():.1f} | {where} |"
        yield ""


def _cost_table(frame: pd.DataFrame) -> Iterator[str]:
    """Seconds of each score as multiples of a forward and backward pass over 256 images, by backbone."""
    of = frame.assign(ratio=frame["score_seconds"] / frame["seconds_of_a_pass"])
    found = of.groupby(["criterion", "backbone"], sort=False)["ratio"].median().unstack("backbone")
    found = found[list(of["backbone"].unique())]
    torch.set_num_threads(1)
    yield f"{machine(torch.device('cpu'))}; seconds of the processor, as other work ran beside.\n"
    yield "| | " + " | ".join(f"`{name}`" for name in found.columns) + " |"
    yield "| --- |" + " ---: |" * len(found.columns)
    for criterion, row in found.iterrows():
        yield f"| {criterion} | " + " | ".join("" if pd.isna(ratio) else f"{ratio:.1f}" for ratio in row) + " |"
    yield ""


@styled
def images_figure(frame: pd.DataFrame) -> Figure:
    """Mean unseen retention against the images that a criterion sees, a panel a backbone, at its middle sparsity."""
    parts = frame["criterion"].str.extract(FEWER)
    frame = frame.assign(
        images=parts["images"].astype(float).fillna(256), criterion=parts["criterion"].fillna(frame["criterion"])
    )
    swept = frame[parts["images"].notna()]
    frame = retentions(unseen(frame[frame["criterion"].isin(swept["criterion"]) & (frame["recovery"] == "none")]))
    backbones = swept["backbone"].unique()
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    looks = plain_looks(swept["criterion"])
    for axes, backbone in zip(figure.subplots(1, len(backbones), squeeze=False)[0], backbones, strict=True):
        of = frame[frame["backbone"] == backbone]
        sparsity = sorted(of["sparsity"].unique())[1]
        means = of[of["sparsity"] == sparsity].groupby(["criterion", "images"])["retention"].mean()
        for criterion, look in looks.items():
            axes.plot(means[criterion].index, means[criterion].to_numpy(), label=criterion, **look)
        axes.set(title=f"{backbone}, {100 * sparsity:g}%", xscale="log", xlabel="images that the score sees")
        axes.set_xticks(sorted(of["images"].unique()), [f"{images:g}" for images in sorted(of["images"].unique())])
        axes.minorticks_off()
        draw_dense(axes)
    figure.axes[0].set_ylabel("mean retention on unseen tasks")
    legend_below(figure, figure.axes[0].get_lines()[: len(looks)])
    return figure
