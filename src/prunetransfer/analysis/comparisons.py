"""Tables of paired estimates: retention a target, change by each recovery, scores against each other."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pandas as pd

from prunetransfer.analysis.outcomes import KEY_COLUMNS, by_readout, cells
from prunetransfer.analysis.paired import holm, mcnemar, mean_difference, mean_ratio
from prunetransfer.analysis.roles import judged
from prunetransfer.analysis.verdicts import before_and_after
from prunetransfer.storage.schemas.verdicts import CHANGES, COMPARISONS, INTERVALS, RETENTION


def retention_intervals(outcomes: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Retention of each condition, over its seeds, with a paired interval (schema INTERVALS)."""
    by = [name for name in KEY_COLUMNS if name != "seed"]
    rows = []
    for names, group in outcomes.groupby(by, dropna=False):
        found = mean_ratio(cells(group), confidence)
        about = {"seeds": len(group), "n": len(group["dense"].iloc[0]), "confidence": confidence}
        rows.append(_named(by, names) | about | {"retention": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame(rows, columns=INTERVALS.names)


def mean_retentions(outcomes: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Mean retention over (source, target) pairs and seeds, with a paired interval (schema RETENTION)."""
    by = ["study", "backbone", "score", "recovery", "method", "readout", "role", "mask", "sparsity"]
    rows = []
    for frame in by_readout(judged(outcomes)):
        for names, group in frame.groupby(by):
            found = mean_ratio(cells(group), confidence)
            about = {"cases": len(group), "confidence": confidence}
            rows.append(_named(by, names) | about | {"retention": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame(rows, columns=RETENTION.names)


def recovery_changes(outcomes: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """What each recovery changes on each target, by McNemar's exact test (schema CHANGES).

    A row whose target is null joins the transfer targets of one mask: their images are different draws, so the counts
    add up. Holm's correction runs over the rows with a target, and over those without, of each backbone, mask,
    readout, recovery.
    """
    by = ["study", "backbone", "score", "source", "mask", "sparsity", "recovery", "method", "readout", "seed"]
    rows = []
    for frame in by_readout(outcomes):
        for names, group in before_and_after(frame).groupby(by, dropna=False):
            rows += [
                _named(by, names) | {"target": pair.target, "role": pair.role} | _counts([pair.before], [pair.correct])
                for pair in group.itertuples()
            ]
            transfer = group[group["role"] == "transfer"]
            if len(transfer):
                joined = _counts(transfer["before"], transfer["correct"])
                rows.append(_named(by, names) | {"target": None, "role": "transfer"} | joined)
    found = pd.DataFrame(rows, columns=[name for name in CHANGES.names if name not in ("p_holm", "verdict")])
    family = [*(found[name] for name in ("backbone", "mask", "readout", "recovery")), found["target"].isna()]
    found["p_holm"] = found.groupby(family)["p_value"].transform(holm).astype(float)
    return found.assign(verdict=verdicts_of(found["change"], found["p_holm"], confidence))[CHANGES.names]


def compare_scores(outcomes: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Every two scores, without recovery: mean accuracy of the first minus that of the second (schema COMPARISONS).

    The mean runs over the (source, target) pairs and seeds that both have, image by image. Holm's correction runs over
    all comparisons of a backbone, mask and readout.
    """
    by, same = ["study", "backbone", "readout", "role", "mask", "sparsity"], ["source", "target", "seed"]
    rows = []
    for frame in by_readout(judged(outcomes[outcomes["recovery"] == "none"])):
        for names, group in frame.groupby(by):
            scores = {score: of_score[[*same, "correct"]] for score, of_score in group.groupby("score")}
            for first, second in combinations(sorted(scores), 2):
                both = scores[first].merge(scores[second], on=same, suffixes=("", "_second"))
                if both.empty:
                    continue
                found = mean_difference(cells(both, before="correct_second"), confidence)
                about = {"score": first, "other_score": second, "cases": len(both), "confidence": confidence}
                values = {"difference": found.value, "low": found.low, "high": found.high, "p_value": found.p_value}
                rows.append(_named(by, names) | about | values)
    found = pd.DataFrame(rows, columns=[name for name in COMPARISONS.names if name not in ("p_holm", "verdict")])
    found["p_holm"] = found.groupby(["backbone", "mask", "readout"])["p_value"].transform(holm).astype(float)
    return found.assign(verdict=verdicts_of(found["difference"], found["p_holm"], confidence))[COMPARISONS.names]


def _counts(before: Iterable[np.ndarray], after: Iterable[np.ndarray]) -> dict[str, object]:
    before, after = np.concatenate(list(before)), np.concatenate(list(after))
    gained, lost, p_value = mcnemar(before, after)
    about = {"n": len(before), "gained": gained, "lost": lost}
    return about | {"change": (gained - lost) / len(before), "p_value": p_value}


def verdicts_of(change: pd.Series, p_values: pd.Series, confidence: float) -> np.ndarray:
    """`higher` or `lower` where the corrected p-value shows a change, else `equal`: none was shown."""
    return np.where(p_values > 1 - confidence, "equal", np.where(change > 0, "higher", "lower"))


def _named(by: list[str], names: tuple) -> dict[str, object]:
    return dict(zip(by, names, strict=True))
