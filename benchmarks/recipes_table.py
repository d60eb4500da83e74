"""What `recipes.py` has measured, as Markdown and a figure: retention by recipe, and how far each keeps every unseen
task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from measuring import write_section
from peers_table import CONFIDENCE, cells, retentions, unseen
from rows import gather

from prunetransfer.analysis.paired import mean_ratio
from prunetransfer.figures.style import DPI, GREY, WIDTH, legend_below, styled

KEPT = 0.95
MEASURED = Path(__file__).parent / "measured/recipes.parquet"
SECTIONS = {"held_out": "choice", "test": "recipes"}
# Shown in the figure, from a bare mask to the best: recipe → label, colour, marker.
SHOWN = {
    "`magnitude`, no recovery": ("magnitude, bare mask", GREY, "o"),
    "`features`": ("features, reconstruct", "#56B4E9", "s"),
    "+ procedural images, 4 steps, refined": ("the whole recipe", "#0072B2", "D"),
    "procedural images alone, 4 steps, refined": ("the same without any data", "#D55E00", "v"),
}


def write(docs: Path, folder: Path, recipes: Sequence[str], backbones: Sequence[str]) -> None:
    """Put the tables of all that `folder` holds into their sections of recoveries.md, and the figure beside it.

    recipes, backbones: all that there are, in the order of the tables.
    """
    page = docs / "recoveries.md"
    measured = _read(folder, recipes, backbones)
    for split, section in SECTIONS.items():
        frame = measured[measured["split"] == split]
        farthest = farthest_kept(frame, recipes, backbones)
        write_section(page, section, "\n".join([*_farthest_table(farthest), *_tables(frame)]))
    write_section(page, "parts", "\n".join(_parts_table(measured)))
    farthest_figure(farthest).savefig(docs / "figures/recipes.png", dpi=DPI)


def _read(folder: Path, recipes: Sequence[str], backbones: Sequence[str]) -> pd.DataFrame:
    frame = gather(folder, MEASURED, ["backbone", "recipe", "seed", "sparsity", "split", "task"])
    places = {name: place for place, name in enumerate([*backbones, *recipes])}
    by = ["backbone", "recipe", "sparsity", "seed"]
    return frame.sort_values(by, key=lambda column: column.map(places).fillna(column), kind="stable")


def _parts_table(measured: pd.DataFrame) -> Iterator[str]:
    """What each recipe keeps over all pairs of a backbone and a sparsity at which every recipe was measured, with the
    seeds that every recipe has: the means of the mean and of the worst unseen task, held out and tested, and by how
    much the held-out means are behind."""
    of_all = measured.groupby("seed")["recipe"].nunique() == measured["recipe"].nunique()
    measured = measured[measured["seed"].map(of_all)]
    by_task = retentions(unseen(measured)).groupby(["split", "recipe", "backbone", "sparsity", "task"])
    kept = by_task["retention"].mean().groupby(["split", "recipe", "backbone", "sparsity"])
    means, worst = (values.unstack("recipe").dropna() for values in (kept.mean(), kept.min()))
    behind = 100 * means.rsub(means.max(axis=1), axis=0).loc["held_out"]
    yield f"Pairs of a backbone and a sparsity: {len(behind)}.\n"
    yield "| | mean over unseen tasks | worst unseen task | behind the best, at most | on average |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for recipe in measured["recipe"].unique():
        if recipe in means:
            both = [
                f"{of.loc['held_out'][recipe].mean():.2f} ({of.loc['test'][recipe].mean():.2f})"
                for of in (means, worst)
            ]
            yield f"| {recipe} | {' | '.join(both)} | {behind[recipe].max():.1f} | {behind[recipe].mean():.1f} |"
    yield ""


def farthest_kept(frame: pd.DataFrame, recipes: Sequence[str], backbones: Sequence[str]) -> pd.DataFrame:
    """Recipe × backbone → the largest sparsity measured up to which every unseen task, averaged over seeds, keeps KEPT;
    0 where not the smallest one does, NaN where nothing is measured."""
    by_task = retentions(unseen(frame)).groupby(["recipe", "backbone", "sparsity", "task"])["retention"].mean()
    worst = by_task.groupby(["recipe", "backbone", "sparsity"]).min().reset_index()
    farthest = worst.groupby(["recipe", "backbone"]).apply(_farthest, include_groups=False).unstack("backbone")
    there = [name for name in recipes if name in farthest.index]
    return farthest.loc[there, [name for name in backbones if name in farthest.columns]]


def _farthest(worst: pd.DataFrame) -> float:
    lost = worst.loc[worst["retention"] < KEPT, "sparsity"].min()
    kept = worst.loc[~(worst["sparsity"] >= lost), "sparsity"]
    return kept.max() if len(kept) else 0.0


def _farthest_table(farthest: pd.DataFrame) -> Iterator[str]:
    yield "| | " + " | ".join(f"`{name}`" for name in farthest.columns) + " |"
    yield "| --- |" + " ---: |" * len(farthest.columns)
    for recipe, row in farthest.iterrows():
        entries = ["" if np.isnan(value) else f"{100 * value:g}%" if value else "none" for value in row]
        yield f"| {recipe} | " + " | ".join(entries) + " |"
    yield ""


def _tables(frame: pd.DataFrame) -> Iterator[str]:
    """A table a backbone: source / mean over unseen tasks with its interval / worst unseen task, by sparsity."""
    for backbone, of in frame.groupby("backbone", sort=False):
        sparsities = sorted(of["sparsity"].unique())
        source = next(name for name in of["source"] if name)
        yield f"`{backbone}`, source {source}.\n"
        yield "| | seeds | " + " | ".join(f"{100 * sparsity:g}%" for sparsity in sparsities) + " |"
        yield "| --- | ---: |" + " --- |" * len(sparsities)
        for recipe, group in of.groupby("recipe", sort=False):
            entries = [_entry(group[group["sparsity"] == sparsity]) for sparsity in sparsities]
            yield f"| {recipe} | {group['seed'].nunique()} | " + " | ".join(entries) + " |"
        yield ""


def _entry(group: pd.DataFrame) -> str:
    if group.empty:
        return ""
    mean = mean_ratio(cells(unseen(group)), CONFIDENCE)
    by_task, source = retentions(group).groupby("task")["retention"].mean(), group["source"].iloc[0]
    own = f"{by_task[source]:.2f}" if source else "–"
    worst = by_task.drop(source, errors="ignore").min()
    return f"{own} / {mean.value:.2f} ({mean.low:.2f} to {mean.high:.2f}) / {worst:.2f}"


@styled
def farthest_figure(farthest: pd.DataFrame) -> Figure:
    """How far every unseen task keeps KEPT: a line a backbone, a marker a recipe of SHOWN."""
    backbones = [name for name in farthest.columns if farthest[name].reindex(SHOWN).notna().all()]
    figure = Figure(figsize=(WIDTH, 0.9 + 0.34 * len(backbones)), layout="constrained")
    axes = figure.subplots()
    offsets = np.linspace(-0.24, 0.24, len(SHOWN))
    for offset, (recipe, (label, colour, marker)) in zip(offsets, SHOWN.items(), strict=True):
        values = farthest.loc[recipe, backbones] if recipe in farthest.index else pd.Series(np.nan, backbones)
        places = np.arange(len(backbones)) + offset
        axes.hlines(places, 0, values, color=colour, linewidth=1.4)
        axes.plot(values, places, marker, color=colour, markersize=4.5, label=label)
    axes.set(
        xlim=(-0.015, 1),
        ylim=(len(backbones) - 0.5, -0.5),
        xlabel=f"sparsity that keeps {KEPT:.0%} of every unseen task",
    )
    axes.set_yticks(range(len(backbones)), backbones)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter("{x:.0%}")
    legend_below(figure, axes.get_lines())
    return figure
