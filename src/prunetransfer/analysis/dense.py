"""On which targets is there anything to retain? Those on which the dense backbone is above chance, by its interval.

Chance is the share of the most frequent class among the test images: what the best constant answer gets. It is never
below 1 / classes. Where the dense backbone is not above it, a retention near 1 says nothing, so that target is left out
of every mean, verdict and guarantee.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from prunetransfer.stages.jobs import Job
from prunetransfer.storage.schemas.accuracy import PREDICTIONS
from prunetransfer.storage.schemas.dense import DENSE
from prunetransfer.storage.tables import read_table, table_metadata

MEASURED = ["backbone", "target", "readout"]


def dense_table(paths: Iterable[str | os.PathLike], study: str, confidence: float) -> pd.DataFrame:
    """Dense accuracy beside chance (schema DENSE). paths: PREDICTIONS, each backbone and target in one of them."""
    rows = []
    for path in paths:
        backbone = Job.parse(table_metadata(path)["wildcards"]).backbone
        for target, answers in read_table(path, PREDICTIONS).groupby("target"):
            answers = answers[answers["sparsity"].isna()].set_index("readout")["predicted"]
            labels = np.asarray(answers.pop("label"))
            for readout, predicted in answers.items():
                named = {"study": study, "backbone": backbone, "target": target, "readout": readout}
                rows.append(named | beside_chance(labels, np.asarray(predicted), confidence))
    return pd.DataFrame(rows, columns=DENSE.names)


def beside_chance(labels: np.ndarray, predicted: np.ndarray, confidence: float) -> dict[str, object]:
    """The values of DENSE. labels, predicted: int [n], of the same images."""
    counts = np.unique(labels, return_counts=True)[1]
    correct, images = int(np.count_nonzero(predicted == labels)), len(labels)
    low, high = binomtest(correct, images).proportion_ci(confidence, method="exact")
    chance = counts.max() / images
    about = {"n": images, "classes": len(counts), "top1": correct / images, "low": low, "high": high}
    return about | {"confidence": confidence, "chance": chance, "above_chance": bool(low > chance)}


def above_chance(frame: pd.DataFrame, dense: pd.DataFrame) -> np.ndarray:
    """bool [rows]: is the dense backbone of each row above chance on the row's target, by its readout?

    frame: any table with backbone, target and readout; dense: the table DENSE of its study. Raises KeyError for a row
    that `dense` does not know.
    """
    known = dense.set_index(MEASURED)["above_chance"].to_dict()
    return np.array([known[row] for row in frame[MEASURED].itertuples(index=False, name=None)], dtype=bool)


def left_out(dense: pd.DataFrame) -> list[str]:
    """A sentence that names the targets on which the dense backbone is not above chance; nothing if there are none."""
    rows = dense[~dense["above_chance"].astype(bool)]
    if rows.empty:
        return []
    named = "; ".join(
        f"{row.backbone} on {row.target} ({row.readout}: {row.top1:.3f} [{row.low:.3f}, {row.high:.3f}], chance "
        f"{row.chance:.3f})"
        for row in rows.itertuples()
    )
    return [
        "Left out of every mean, verdict and guarantee, because the dense backbone is not shown to be better than "
        f"chance there, so that it has nothing to retain: {named}."
    ]
