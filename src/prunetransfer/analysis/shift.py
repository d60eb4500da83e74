"""Does pruning cost more where the test images are shifted? Retention under each condition against that without it.

Retention is relative to the dense backbone under the same condition, so its own fall is not counted against pruning.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from prunetransfer.analysis.comparisons import verdicts_of
from prunetransfer.analysis.outcomes import by_readout, cells
from prunetransfer.analysis.paired import holm, retention_difference
from prunetransfer.storage.schemas.accuracy import PREDICTIONS
from prunetransfer.storage.schemas.shift import SHIFT
from prunetransfer.storage.tables import read_table

Shifts = Mapping[str, Mapping[str, Any]]  # shifted target → of `prunetransfer.datasets.seen.shifts`
OF_MEAN = ["study", "backbone", "score", "recovery", "method", "readout", "mask", "sparsity", "condition", "role"]
OF_PAIR = [*OF_MEAN, "source", "target", "shifted_target"]
MEASURES = {  # of a cell
    "dense_top1": lambda cell: cell.before.mean(),
    "top1": lambda cell: cell.after.mean(),
    "retention": lambda cell: cell.after.sum() / cell.before.sum(),
}


def on_same_images(shifts: Shifts, paths: Iterable[str | os.PathLike]) -> dict[str, Mapping[str, Any]]:
    """The shifts whose two targets have the same labels in the same order. paths: PREDICTIONS that have all targets."""
    labels = {}
    for path in paths:
        answers = read_table(path, PREDICTIONS)
        rows = answers[answers["readout"] == "label"]
        labels |= dict(zip(rows["target"], map(np.asarray, rows["predicted"]), strict=True))
    return {
        name: shift
        for name, shift in shifts.items()
        if shift["target"] is not None and np.array_equal(labels[name], labels[shift["target"]])
    }


def shift_table(outcomes: pd.DataFrame, shifts: Shifts, confidence: float) -> pd.DataFrame:
    """The change of retention under each condition (schema SHIFT), image by image.

    outcomes: of `read_outcomes`; shifts: of `on_same_images`. A row without a target is the mean over the (source,
    target) pairs of a role. Holm's correction runs over the rows with a target, and over those without, of each
    backbone, mask, readout and recovery.
    """
    rows = []
    for frame in by_readout(outcomes):
        pairs = _pairs(frame, shifts)
        rows += [*_compared(pairs, OF_PAIR, confidence), *_compared(pairs, OF_MEAN, confidence)]
    found = pd.DataFrame(rows, columns=[name for name in SHIFT.names if name not in ("p_holm", "verdict")])
    family = [*(found[name] for name in ("backbone", "mask", "readout", "recovery")), found["target"].isna()]
    found["p_holm"] = found.groupby(family)["p_value"].transform(holm).astype(float)
    return found.assign(verdict=verdicts_of(found["change"], found["p_holm"], confidence))[SHIFT.names]


def _pairs(frame: pd.DataFrame, shifts: Shifts) -> pd.DataFrame:
    """A row a measurement under a condition, with `clean_dense` and `clean_correct` of the same one without it.

    frame: as `by_readout` gives it. The role is that of the clean target.
    """
    names = ["study", "backbone", "score", "recovery", "method", "readout", "mask", "sparsity", "source", "seed"]
    shifted = frame[frame["target"].isin(list(shifts))]
    about = {key: [shifts[name][key] for name in shifted["target"]] for key in ("target", "condition", "severity")}
    shifted = shifted.assign(shifted_target=shifted["target"], **about)
    clean = frame[[*names, "target", "role", "dense", "correct"]]
    clean = clean.rename(columns={"dense": "clean_dense", "correct": "clean_correct"})
    return shifted.drop(columns="role").merge(clean, on=[*names, "target"])


def _compared(pairs: pd.DataFrame, by: list[str], confidence: float) -> Iterator[dict[str, Any]]:
    for names, group in pairs.groupby(by, dropna=False):
        shifted, clean = cells(group), cells(group, before="clean_dense", after="clean_correct")
        found = retention_difference(zip(shifted, clean, strict=True), confidence)
        means = {
            f"{prefix}{name}": np.mean([value(cell) for cell in of])
            for prefix, of in (("", clean), ("shifted_", shifted))
            for name, value in MEASURES.items()
        }
        severity = group["severity"].iloc[0]
        about = {"severity": severity, "cases": len(group), "confidence": confidence}
        values = {"change": found.value, "low": found.low, "high": found.high, "p_value": found.p_value}
        yield dict.fromkeys(OF_PAIR) | dict(zip(by, names, strict=True)) | about | means | values
