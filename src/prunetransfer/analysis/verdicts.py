"""The paper's two predictions, judged image by image, with intervals.

P1: pruning on source data keeps source and transfer accuracy. Judged on each role alone, without recovery; of masks
made in steps, with what their steps recover.
P2: fine-tuning the pruned backbone on the source improves transfer accuracy. Judged on pairs of measurements that
differ in nothing but the fine-tuning.
"""

from __future__ import annotations

import pandas as pd

from prunetransfer.analysis.outcomes import by_readout, cells
from prunetransfer.analysis.paired import mean_difference, mean_ratio
from prunetransfer.analysis.recovered import AS_MADE
from prunetransfer.analysis.retention import last_passed, mean_retention
from prunetransfer.analysis.roles import judged
from prunetransfer.storage.schemas.verdicts import VERDICTS

GROUP = ["study", "backbone", "score", "mask", "readout"]
FINE_TUNES = "finetune"  # the recovery that P2 is about
ROUNDING = 1e-9  # a mean that equals 1 - τ up to rounding keeps its accuracy


def judge(outcomes: pd.DataFrame, tolerance: float, confidence: float) -> pd.DataFrame:
    """The table of verdicts (schema VERDICTS): P1 by backbone, score, mask, readout and role, P2 by recovery instead
    of role.

    tolerance: τ in [0, 1); accuracy counts as kept where mean retention ≥ 1 - τ. confidence: that of the two-sided
    intervals. P2 is about every recovery whose method is to fine-tune, whatever its entry in the config is called. A
    prediction that the outcomes cannot speak about (no fine-tuned rows, no source target) has no row.
    """
    rows = []
    for frame in by_readout(judged(outcomes)):
        for names, group in frame.groupby(GROUP):
            name = dict(zip(GROUP, names, strict=True)) | {"confidence": confidence}
            as_made = group[group["recovery"].isin(AS_MADE)]
            for (recovery, role), measured in as_made.groupby(["recovery", "role"]):
                about = {"prediction": "P1", "recovery": recovery, "method": recovery, "role": role}
                rows.append(name | about | _keeps(measured, tolerance, confidence))
            pairs = before_and_after(group[group["method"].isin(["none", FINE_TUNES])])
            for recovery, rows_of in pairs[pairs["role"] == "transfer"].groupby("recovery"):
                about = {"prediction": "P2", "recovery": recovery, "method": FINE_TUNES, "role": "transfer"}
                rows.append(name | about | _changes(rows_of, confidence))
    return pd.DataFrame(rows, columns=VERDICTS.names).astype({"fell": "Int64"})


def before_and_after(frame: pd.DataFrame) -> pd.DataFrame:
    """Recovered rows, each with the outcomes `before` of its mask as made. frame: of `with_sources`."""
    same = ["study", "backbone", "score", "mask", "sparsity", "readout", "source", "target", "seed"]
    as_made = frame["recovery"].isin(AS_MADE)
    before = frame.loc[as_made, [*same, "correct"]].rename(columns={"correct": "before"})
    return frame[~as_made].merge(before, on=same)


def _keeps(measured: pd.DataFrame, tolerance: float, confidence: float) -> dict[str, object]:
    """P1: `holds` if accuracy is kept at every sparsity tried, `partly` if only up to one of them, else `fails`."""
    found = {
        sparsity: mean_ratio(cells(rows), confidence) for sparsity, rows in measured.groupby("sparsity", sort=True)
    }
    bound = 1 - tolerance - ROUNDING
    kept = last_passed({sparsity: estimate.value >= bound for sparsity, estimate in found.items()})
    return {
        "verdict": "holds" if kept == max(found) else "partly" if kept is not None else "fails",
        "cases": len(measured.drop_duplicates(["source", "target", "seed"])),
        "tolerance": tolerance,
        "sustained_sparsity": kept or 0.0,
        "assured_sparsity": last_passed({sparsity: estimate.low >= bound for sparsity, estimate in found.items()})
        or 0.0,
    }


def sustained_sparsities(frame: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Columns backbone, role, score, recovery, sustained_sparsity, as in P1, but of each recovery where it was tried.

    frame: the accuracy table as `with_sources` returns it; tolerance: as for `judge`.
    """
    names, rows = ["backbone", "role", "score", "recovery"], []
    for key, group in frame.groupby(names):
        means = mean_retention(group, by=["sparsity"]).set_index("sparsity")["retention"].sort_index()
        rows.append((*key, last_passed(dict(means >= 1 - tolerance - ROUNDING)) or 0.0))
    return pd.DataFrame(rows, columns=[*names, "sustained_sparsity"])


def _changes(pairs: pd.DataFrame, confidence: float) -> dict[str, object]:
    """P2: `improved` or `harmed` if the interval of the mean change leaves out 0, else `mixed`."""
    estimate = mean_difference(cells(pairs, before="before"), confidence)
    fell = sum(after.sum() < before.sum() for before, after in zip(pairs["before"], pairs["correct"], strict=True))
    return {
        "verdict": "improved" if estimate.low > 0 else "harmed" if estimate.high < 0 else "mixed",
        "cases": len(pairs),
        "change": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "fell": int(fell),
    }
