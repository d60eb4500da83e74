"""The paper's two predictions, judged on the accuracy table with plain numbers.

P1: pruning on source data keeps source and transfer accuracy. Judged on each role alone, without recovery.
P2: fine-tuning the pruned backbone on the source improves transfer accuracy. Judged on pairs of rows that differ in
nothing but the fine-tuning.
"""

from __future__ import annotations

import math

import pandas as pd

from prunetransfer.analysis.retention import mean_retention, with_sources
from prunetransfer.tables import VERDICTS

GROUP = ["study", "backbone", "score", "readout"]
ROUNDING = 1e-9  # a mean that equals 1 - τ up to rounding keeps its accuracy


def judge(accuracy: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """The table of verdicts (schema VERDICTS): P1 by backbone, score, readout and role, P2 without role.

    tolerance: τ in [0, 1); accuracy counts as kept where mean retention ≥ 1 - τ. A prediction that the table cannot
    speak about (no fine-tuned rows, no target that is a source) has no row.
    """
    rows = []
    groups = [group for _, read in accuracy.groupby("readout") for group in with_sources(read).groupby(GROUP)]
    for names, group in groups:
        name = dict(zip(GROUP, names, strict=True))
        untuned, tuned = (group[group["recovery"] == recovery] for recovery in ("none", "finetune"))
        for role, measured in untuned.groupby("role"):
            rows.append(name | {"prediction": "P1", "role": role} | _keeps(measured, tolerance))
        pairs = _transfer_pairs(untuned, tuned)
        if len(pairs):
            change = pairs["top1"] - pairs["top1_before"]
            rows.append(name | {"prediction": "P2", "role": "transfer"} | _changes(change))
    return pd.DataFrame(rows, columns=VERDICTS.names).astype({"fell": "Int64"})


def _keeps(measured: pd.DataFrame, tolerance: float) -> dict[str, object]:
    """P1: `holds` if accuracy is kept at every sparsity tried, `partly` if only up to one of them, else `fails`."""
    kept = _kept(measured, tolerance)
    verdict = "holds" if kept.all() else "partly" if kept.any() else "fails"
    return {
        "verdict": verdict,
        "cases": len(measured.drop_duplicates(["source", "target", "seed"])),
        "tolerance": tolerance,
        "safe_sparsity": _safe(kept),
    }


def safe_sparsities(frame: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Columns backbone, role, score, recovery, safe_sparsity, as in P1, but of each recovery where it was tried.

    frame: what `with_sources` returns; tolerance: as for `judge`.
    """
    names = ["backbone", "role", "score", "recovery"]
    rows = [(*key, _safe(_kept(group, tolerance))) for key, group in frame.groupby(names)]
    return pd.DataFrame(rows, columns=[*names, "safe_sparsity"])


def _kept(measured: pd.DataFrame, tolerance: float) -> pd.Series:
    """Sparsity → whether mean retention is at least 1 - τ there and at all below, ascending."""
    means = mean_retention(measured, by=["sparsity"]).set_index("sparsity")["retention"].sort_index()
    return (means >= 1 - tolerance - ROUNDING).cummin()


def _safe(kept: pd.Series) -> float:
    return kept.index[kept].max() if kept.any() else 0.0


def _transfer_pairs(untuned: pd.DataFrame, tuned: pd.DataFrame) -> pd.DataFrame:
    same = ["source", "sparsity", "target", "seed"]
    before = untuned[[*same, "top1"]].rename(columns={"top1": "top1_before"})
    return tuned[tuned["role"] == "transfer"].merge(before, on=same)


def _changes(change: pd.Series) -> dict[str, object]:
    """P2: `improved` or `harmed` if the mean change lies more than two standard errors from 0, else `mixed`.

    Pairs that share a mask are not independent: the standard error is a reading aid, not a test. One pair is `mixed`.
    """
    mean, error = change.mean(), change.sem()
    clear = math.isfinite(error) and abs(mean) > 2 * error
    verdict = "mixed" if not clear else "improved" if mean > 0 else "harmed"
    return {
        "verdict": verdict,
        "cases": len(change),
        "change": mean,
        "standard_error": error,
        "fell": int((change < 0).sum()),
    }
