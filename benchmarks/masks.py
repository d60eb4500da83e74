"""What masks with a shape keep and save: tables of a finished study, for docs/findings.md.

    python benchmarks/masks.py results/patterns docs
    python benchmarks/masks.py results/patterns-real docs

Layer budgets stand beside the global threshold, with paired intervals of the difference; other patterns with the time
that they save. The studies are studies/patterns.yaml and studies/patterns-real.yaml.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from measuring import write_section

from prunetransfer.analysis.outcomes import cells
from prunetransfer.analysis.paired import mean_ratio, retention_difference
from prunetransfer.storage.schemas.efficiency import EFFICIENCY
from prunetransfer.storage.tables import read_table
from studies import outcomes_of

CONFIDENCE = 0.95
BUDGETS = ("global", "uniform", "erk", "lamp", "even")
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="its folder below results")
    parser.add_argument("docs", type=Path)
    arguments = parser.parse_args()
    outcomes = outcomes_of(arguments.study)
    unseen = outcomes[outcomes["own_sources"].isna()]
    efficiency = read_table(arguments.study / "tables/efficiency.parquet", EFFICIENCY)
    page = arguments.docs / "findings.md"
    write_section(page, f"{arguments.study.name}-budgets", "\n".join(_budgets(unseen)))
    write_section(page, f"{arguments.study.name}-shapes", "\n".join([*_shapes(unseen, efficiency), ""]))


def _budgets(unseen: pd.DataFrame) -> Iterator[str]:
    """A row a score, recovery and budget: mean retention at each sparsity, and by how many percentage points more than
    with the global threshold; bold where the interval of the difference does not reach 0."""
    of_budgets = unseen[unseen["mask"].isin(BUDGETS)]
    for backbone, of in of_budgets.groupby("backbone"):
        sparsities = sorted(of["sparsity"].unique())
        yield f"`{backbone}`, seeds: {of['seed'].nunique()}.\n"
        yield "| score | recovery | budget | " + " | ".join(f"{100 * q:g}%" for q in sparsities) + " |"
        yield "| --- | --- | --- |" + " ---: |" * len(sparsities)
        for (score, recovery), rows in of.groupby(["score", "recovery"]):
            for budget in (name for name in BUDGETS if name in set(rows["mask"])):
                entries = [_beside_global(rows[rows["sparsity"] == q], budget) for q in sparsities]
                yield f"| `{score}` | {recovery} | {budget} | " + " | ".join(entries) + " |"
        yield ""


def _beside_global(rows: pd.DataFrame, budget: str) -> str:
    one, other = (_cells(rows[rows["mask"] == name]) for name in (budget, "global"))
    if not one:
        return ""
    mean = f"{mean_ratio(one, CONFIDENCE).value:.2f}"
    if budget == "global":
        return mean
    more = retention_difference(zip(one, other, strict=True), CONFIDENCE)
    text = f"{mean} ({100 * more.value:+.1f})"
    return text if more.low <= 0 <= more.high else f"**{text}**"


def _shapes(unseen: pd.DataFrame, efficiency: pd.DataFrame) -> Iterator[str]:
    """A row a mask whose time was measured: what it keeps, bare and recovered, and what it saves."""
    recoveries = sorted(set(unseen["recovery"]), key=lambda name: (name != "none", name))
    columns = ["backbone, score", "mask", *recoveries, "multiply-adds", "time", "of what they promise"]
    yield f"| {' | '.join(columns)} |"
    yield "| --- | --- |" + " ---: |" * (len(columns) - 2)
    measured = efficiency[efficiency["batch_size"] == BATCH]
    for row in measured.sort_values(["backbone", "score", "mask", "sparsity"]).itertuples():
        of = unseen
        for column in ("backbone", "mask", "score", "sparsity"):
            of = of[of[column] == getattr(row, column)]
        kept = [_kept(of[of["recovery"] == recovery]) for recovery in recoveries]
        promised = row.dense_multiply_adds / row.multiply_adds
        yield (
            f"| `{row.backbone}`, `{row.score}` | {row.mask}, {100 * row.sparsity:g}% | {' | '.join(kept)} | "
            f"1/{promised:.2f} | 1/{row.speed_up:.2f} | {row.speed_up / promised:.2f} |"
        )


def _kept(rows: pd.DataFrame) -> str:
    """Mean over unseen tasks with its interval, and the worst of them."""
    if rows.empty:
        return ""
    mean = mean_ratio(_cells(rows), CONFIDENCE)
    worst = min(mean_ratio(_cells(of), CONFIDENCE).value for _, of in rows.groupby("target"))
    return f"{mean.value:.2f} ({mean.low:.2f} to {mean.high:.2f}), worst {worst:.2f}"


def _cells(rows: pd.DataFrame) -> list:
    return cells(rows.sort_values(["target", "seed"]))


if __name__ == "__main__":
    main()
