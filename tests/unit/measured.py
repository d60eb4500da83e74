"""Rows of measurements as a study's tables have them, the same image by image, and what is judged and said of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from unit.findings import findings

from prunetransfer.analysis.verdicts import judge
from prunetransfer.report.summary import summarise


def row(score, target, sparsity, retention, source=None, tuned_on=None, seed=0, **changed) -> dict:
    """One measurement with a dense accuracy of 0.5; `source` is the prune source."""
    recovery = changed.get("recovery", "finetune" if tuned_on else "none")
    values = {
        **{"study": "mini", "backbone": "resnet", "architecture": "resnet18", "pretraining": "cifar10"},
        **{"score": score, "prune_source": source, "mask": "global", "sparsity": sparsity},
        **{"achieved_sparsity": sparsity, "recovery": recovery, "method": recovery, "tuned_on": tuned_on},
        **{"target": target, "own_sources": target},
        **{"role": "source" if target in (source, tuned_on) else "transfer", "readout": "zero_shot", "seed": seed},
        **{
            "n": 1000,
            "correct": round(500 * retention),
            "top1": 0.5 * retention,
            "loss": 0.4,
            "dense_top1": 0.5,
            "dense_loss": 0.3,
        },
        **{"retention": retention, "images_per_second": 100.0, "device": "cpu"},
    }
    return values | changed


def outcomes(rows: list[dict] | pd.DataFrame) -> pd.DataFrame:
    """The rows image by image: of 1000 images 500 are right dense, and those kept are among them as far as they go."""
    frame = pd.DataFrame(rows)
    right = [np.arange(1000) < correct for correct in frame["correct"]]
    return frame.assign(dense=[np.arange(1000) < 500] * len(frame), correct=right)


def block(retentions: dict[float, float], role: str) -> list[dict]:
    """Rows of `block@digits`: retention by sparsity on one target of this role."""
    target = {"source": "digits", "transfer": "glyphs"}[role]
    return [row("block", target, sparsity, retention, source="digits") for sparsity, retention in retentions.items()]


def judged(rows: list[dict] | pd.DataFrame, tolerance: float = 0.05) -> pd.DataFrame:
    return judge(outcomes(rows), tolerance, confidence=0.95)


def summary(accuracy: pd.DataFrame, **made) -> str:
    return summarise(accuracy, findings(outcomes(accuracy), **made))


def verdict(judged: pd.DataFrame, **names) -> pd.Series:
    for column, value in names.items():
        judged = judged[judged[column] == value]
    assert len(judged) == 1
    return judged.iloc[0]


def tuned_pairs(changes: list[float]) -> pd.DataFrame:
    """`block@digits` before (retention 0.6, top-1 0.3) and after fine-tuning, a transfer target a change of top-1."""
    rows = []
    for i, change in enumerate(changes):
        rows.append(row("block", f"t{i}", 0.3, 0.6, source="digits"))
        rows.append(row("block", f"t{i}", 0.3, 0.6 + 2 * change, source="digits", tuned_on="digits"))
    return pd.DataFrame(rows)
