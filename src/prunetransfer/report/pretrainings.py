"""Which pre-training prunes best, in words: by mean retention over all sparsities tried, without recovery."""

from __future__ import annotations

import pandas as pd

from prunetransfer.analysis.retention import shown
from prunetransfer.report.findings import told_role
from prunetransfer.report.pages import Block, Points, Table

QUESTION = "Which pre-training prunes best?"


def pretraining_blocks(pretrainings: pd.DataFrame, comparisons: pd.DataFrame) -> list[Block]:
    """Question, a sentence a group of backbones, the numbers; nothing for a study without such a group.

    pretrainings, comparisons: tables of the schemas PRETRAININGS and PRETRAINING_COMPARISONS.
    """
    if pretrainings.empty:
        return []
    return [QUESTION, Points(pretraining_sentences(pretrainings, comparisons)), _numbers(over_all(pretrainings))]


def pretraining_sentences(pretrainings: pd.DataFrame, comparisons: pd.DataFrame) -> list[str]:
    """For every group and score the pre-training that keeps most, and which others it is shown to be ahead of."""
    texts = []
    for group, rows in over_all(pretrainings).groupby("group"):
        shown_apart = _shown_apart(comparisons[(comparisons["group"] == group) & comparisons["sparsity"].isna()])
        names = labels(rows)
        by_score = []
        ranked = rows.sort_values("retention", ascending=False)
        for score, of_score in ranked.groupby("score", sort=False):
            best, *others = of_score.itertuples()
            apart = [
                row
                for row in others
                if frozenset((best.backbone, row.backbone)) in shown_apart.get((best.role, score), ())
            ]
            told = f"by {score} {names[best.backbone]} keeps most, {_interval(best)}"
            for said, of in {
                "ahead of": apart,
                "not shown to be ahead of": [r for r in others if r not in apart],
            }.items():
                named = ", ".join(f"{names[row.backbone]} ({row.retention:.3f})" for row in of)
                told += f", {said} {named}" if of else ""
            by_score.append(told)
        where = "unseen tasks" if rows["role"].iloc[0] == "transfer" else "the source"
        texts.append(f"{group}, mean retention on {where} over all sparsities tried: {'; '.join(by_score)}.")
    return texts


def over_all(pretrainings: pd.DataFrame) -> pd.DataFrame:
    """The rows that speak about all sparsities together, of the readout and role that pages show."""
    rows = told_role(shown(pretrainings))
    return rows[rows["sparsity"].isna()]


def labels(rows: pd.DataFrame) -> dict[str, str]:
    """Backbone → its pre-training, with its own name where another one of the group was pre-trained alike."""
    members = rows.drop_duplicates("backbone").set_index("backbone")["pretraining"]
    alike = members.duplicated(keep=False)
    return {name: f"{kind} ({name})" if alike[name] else kind for name, kind in members.items()}


def _shown_apart(comparisons: pd.DataFrame) -> dict[tuple[str, str], set[frozenset[str]]]:
    """(role, score) → the pairs of backbones between which a difference was shown, by the readout that pages show."""
    rows, found = shown(comparisons), {}
    for row in rows.itertuples():
        pairs = found.setdefault((row.role, row.score), set())
        if row.verdict != "equal":
            pairs.add(frozenset((row.backbone, row.other_backbone)))
    return found


def _numbers(rows: pd.DataFrame) -> Table:
    scores, lines = sorted(rows["score"].unique()), []
    for group, of_group in rows.groupby("group"):
        names = labels(of_group)
        for backbone, own in of_group.groupby("backbone"):
            kept = {row.score: _interval(row) for row in own.itertuples()}
            dense = f"{own['dense_top1'].mean():.3f}"
            lines.append((group, names[backbone], dense, *(kept.get(score, "-") for score in scores)))
    return Table(("architecture", "pre-training", "dense accuracy", *scores), lines)


def _interval(row: object) -> str:
    return f"{row.retention:.3f} [{row.low:.3f}, {row.high:.3f}]"
