"""The study's answer in a few sentences and one table: how far each backbone can be pruned."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from prunetransfer.analysis.retention import shown_readout, with_sources
from prunetransfer.analysis.safe import can_show
from prunetransfer.pages import Block, Points, Table

QUESTION = "How far can each backbone be pruned before the tasks that it has never seen suffer?"
WHOSE = {"transfer": "unseen tasks", "source": "the source"}  # role → in words
CHANGED = {"improved": "improves", "harmed": "harms", "mixed": "shows no effect on"}


def answer(verdicts: pd.DataFrame, safe: pd.DataFrame) -> list[Block]:
    """What every page begins with: the headline, a sentence or two a backbone, the numbers behind them.

    verdicts, safe: tables of the schemas VERDICTS and SAFE_SPARSITY.
    """
    if verdicts.empty:
        return []
    return [*headline(safe), Points(sentences(verdicts, safe)), _numbers(verdicts, safe)]


def least_safe(safe: pd.DataFrame, role: str = "transfer") -> pd.DataFrame:
    """Columns backbone, score, recovery and safe_sparsity, the least over sources, targets and seeds.

    safe: a table of schema SAFE_SPARSITY; a data-free mask counts once for every source. Up to the least, the tests of
    all cells were rejected; the union of their null hypotheses is tested by its largest p-value, so the least holds
    for all cells at once, still at δ.
    """
    frame = with_sources(shown_readout(safe))
    of_role = frame[frame["role"] == role]
    return of_role.groupby(["backbone", "score", "recovery"])["safe_sparsity"].min().reset_index()


def headline(safe: pd.DataFrame) -> list[str]:
    """The safe sparsity of every backbone and score without recovery in one sentence; none without transfer targets.

    A second sentence tells of the targets with too few images to show anything, and the sparsities on the others.
    """
    found = _by_backbone(safe)
    if not found:
        return []
    first = safe.iloc[0]
    told = [
        f"Pruned without recovery, no unseen task loses more than {100 * first.alpha:g} points of accuracy, with "
        f"probability {1 - first.delta:.0%} for each number: {found}."
    ]
    sizes = safe[safe["role"] == "transfer"].groupby("target")["calibration_images"].first()
    small = [target for target, images in sizes.items() if not can_show(images, first.alpha, first.delta)]
    others = _by_backbone(safe[~safe["target"].isin(small)])
    if small and others:
        named = ", ".join(f"{target} ({sizes[target]} images)" for target in small)
        told.append(
            "Too few images to show even a mask safe that changes no answer: "
            f"{named}. On the other unseen tasks: {others}."
        )
    return told


def _by_backbone(safe: pd.DataFrame) -> str:
    least = least_safe(safe)
    bare = least[least["recovery"] == "none"]
    return "; ".join(f"{name} {_up_to(_values(rows, 'safe_sparsity'))}" for name, rows in bare.groupby("backbone"))


def sentences(verdicts: pd.DataFrame, safe: pd.DataFrame) -> list[str]:
    """What recoveries add to the headline, P1 and P2, one text a backbone.

    verdicts, safe: tables of the schemas VERDICTS and SAFE_SPARSITY. Unseen tasks are the transfer targets.
    """
    least, found = least_safe(safe), []
    for name, rows in shown_readout(verdicts).groupby("backbone"):
        told = [*_kept(rows), *_recovered(least[least["backbone"] == name]), *_changed(rows)]
        found.append(f"{name}: {' '.join(told)}")
    return found


def _numbers(verdicts: pd.DataFrame, safe: pd.DataFrame) -> Table:
    verdicts, least = shown_readout(verdicts), least_safe(safe)
    shown = least[least["recovery"] == "none"].set_index(["backbone", "score"])["safe_sparsity"]
    rows = []
    for name, found in verdicts.groupby(["backbone", "score"]):
        kept = found[found["prediction"] == "P1"].set_index("role")
        changed = [f"{row.verdict}, {100 * row.change:+.1f}" for row in found.itertuples() if row.prediction == "P2"]
        by_role = [
            f"{kept['verdict'][role]}, {_sparsity(kept['sustained_sparsity'][role])}" if role in kept.index else "-"
            for role in ("source", "transfer")
        ]
        rows.append((*name, _sparsity(shown[name]) if name in shown else "-", *by_role, *(changed or ["-"])))
    names = ("backbone", "score", "safe on unseen tasks", "P1, source", "P1, unseen tasks", "P2, points gained")
    return Table(names, rows)


def _kept(rows: pd.DataFrame) -> list[str]:
    kept = rows[rows["prediction"] == "P1"]
    found = {role: _up_to(_values(of_role, "sustained_sparsity")) for role, of_role in kept.groupby("role", sort=False)}
    where = [f"on {name} {found[role]}" for role, name in WHOSE.items() if role in found]
    return [f"Mean retention is at least {1 - kept['tolerance'].iloc[0]:g} {'; '.join(where)}."] if where else []


def _recovered(least: pd.DataFrame) -> list[str]:
    bare = _values(least[least["recovery"] == "none"], "safe_sparsity")
    found = []
    for recovery, rows in least[least["recovery"] != "none"].groupby("recovery"):
        farther = {s: value for s, value in _values(rows, "safe_sparsity").items() if value > bare.get(s, 0)}
        if farther:
            found.append(f"{recovery} {_up_to(farther)}")
    return [f"Safe after a recovery, where that is farther: {'; '.join(found)}."] if found else []


def _changed(rows: pd.DataFrame) -> list[str]:
    found = []
    for verdict, verb in CHANGED.items():
        scores = rows[rows["verdict"] == verdict].sort_values("change", ascending=False)
        points = ", ".join(f"{row.score} {100 * row.change:+.1f}" for row in scores.itertuples())
        found += [f"{verb} unseen tasks ({points} points)"] if points else []
    return [f"Fine-tuning on the source {' and '.join(found)}."] if found else []


def _values(rows: pd.DataFrame, column: str) -> dict[str, float]:
    return dict(zip(rows["score"], rows[column], strict=True))


def _up_to(values: Mapping[str, float]) -> str:
    """`{a: 0.5, b: 0.0, c: 0.5}` → `up to sparsity 0.5 (a, c), at none tried (b)`."""
    scores = {
        value: f"({', '.join(name for name in sorted(values) if values[name] == value)})"
        for value in sorted(set(values.values()), reverse=True)
    }
    parts = [f"{value:g} {named}" for value, named in scores.items() if value]
    found = [f"up to sparsity {', '.join(parts)}"] if parts else []
    if 0.0 in scores:
        found.append(f"at none tried {scores[0.0]}")
    return ", ".join(found)


def _sparsity(value: float) -> str:
    return f"{value:g}" if value else "none"
