"""What `recipes.py` has measured, as Markdown: retention by recipe, and how far each keeps every unseen task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from measuring import write_section
from peers_table import CONFIDENCE, cells, retentions, unseen

from prunetransfer.analysis.paired import mean_ratio

KEPT = 0.95


def write(docs: Path, folder: Path, recipes: Sequence[str], backbones: Sequence[str]) -> None:
    """Put the tables of all that `folder` holds into their sections of recoveries.md.

    recipes, backbones: all that there are, in the order of the tables.
    """
    page = docs / "recoveries.md"
    for split, section in (("held_out", "choice"), ("test", "recipes")):
        if (folder / split).is_dir():
            frame = _read(folder / split, recipes, backbones)
            write_section(page, section, "\n".join([*_farthest(frame, recipes, backbones), *_tables(frame)]))


def _read(folder: Path, recipes: Sequence[str], backbones: Sequence[str]) -> pd.DataFrame:
    frame = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))], ignore_index=True)
    places = {name: place for place, name in enumerate([*backbones, *recipes, "none", "reconstruct"])}
    by = ["backbone", "recipe", "state", "sparsity", "seed"]
    return frame.sort_values(by, key=lambda column: column.map(places).fillna(column), kind="stable")


def _farthest(frame: pd.DataFrame, recipes: Sequence[str], backbones: Sequence[str]) -> Iterator[str]:
    """The largest sparsity up to which every unseen task keeps KEPT, averaged over seeds, after `reconstruct`."""
    by_task = retentions(unseen(frame)).groupby(["backbone", "recipe", "state", "sparsity", "task"])["retention"].mean()
    worst = by_task.groupby(["backbone", "recipe", "state", "sparsity"]).min()
    measured = [name for name in backbones if name in worst.index.get_level_values("backbone")]
    yield "| | " + " | ".join(f"`{name}`" for name in measured) + " |"
    yield "| --- |" + " ---: |" * len(measured)
    rows = [(recipe, state) for recipe in recipes for state in frame["state"].unique()]
    for recipe, state in rows:
        entries = [_kept(worst, name, recipe, state) for name in measured]
        if any(entries):
            yield f"| {recipe}, {state} | " + " | ".join(entries) + " |"
    yield ""


def _kept(worst: pd.Series, backbone: str, recipe: str, state: str) -> str:
    """Such a sparsity; the smallest one measured with a < where not even that keeps it."""
    if (backbone, recipe, state) not in worst.index.droplevel("sparsity"):
        return ""
    of = worst[backbone, recipe, state].sort_index()
    lost = of.index[of < KEPT]
    kept = [sparsity for sparsity in of.index if not len(lost) or sparsity < lost[0]]
    return f"{100 * kept[-1]:g}%" if kept else f"< {100 * of.index[0]:g}%"


def _tables(frame: pd.DataFrame) -> Iterator[str]:
    """A table a backbone: source / mean over unseen tasks with its interval / worst unseen task, by sparsity."""
    for backbone, of in frame.groupby("backbone", sort=False):
        sparsities = sorted(of["sparsity"].unique())
        yield f"`{backbone}`, seeds: {of['seed'].nunique()}.\n"
        yield "| | " + " | ".join(f"{100 * sparsity:g}%" for sparsity in sparsities) + " |"
        yield "| --- |" + " --- |" * len(sparsities)
        for (recipe, state), group in of.groupby(["recipe", "state"], sort=False):
            entries = [_entry(group[group["sparsity"] == sparsity]) for sparsity in sparsities]
            yield f"| {recipe}, {state} | " + " | ".join(entries) + " |"
        yield ""


def _entry(group: pd.DataFrame) -> str:
    if group.empty:
        return ""
    mean = mean_ratio(cells(unseen(group)), CONFIDENCE)
    by_task, source = retentions(group).groupby("task")["retention"].mean(), group["source"].iloc[0]
    own = f"{by_task[source]:.2f}" if source else "–"
    worst = by_task.drop(source, errors="ignore").min()
    return f"{own} / {mean.value:.2f} ({mean.low:.2f} to {mean.high:.2f}) / {worst:.2f}"
