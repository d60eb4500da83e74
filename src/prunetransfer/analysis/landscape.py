"""The landscape's tables: numbers of each task, and how far two tasks agree in their curvature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

Arrays = Mapping[str, np.ndarray]


def landscape_row(arrays: Arrays, record: Mapping[str, Any]) -> dict[str, Any]:
    """One row of LANDSCAPE without its keys, from the file of a spectrum job."""
    names = ("loss", "gradient_norm", "ggn_trace", "relative_trace", "hessian_eigenvalue")
    return {
        "images": sum(record["images"]["per_class"].values()),
        "weights": arrays["diagonal"].size,
        "ggn_eigenvalue": float(arrays["eigenvalues"][0]),
        **{name: record[name] for name in names},
    }


def eigenvalue_rows(arrays: Arrays, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of SPECTRUM without study, backbone, task and seed, from the same file."""
    for rank, eigenvalue in enumerate(arrays["eigenvalues"].tolist(), start=1):
        yield {"rank": rank, "eigenvalue": eigenvalue, "trace_share": eigenvalue / record["ggn_trace"]}


@dataclass(frozen=True)
class Curvature:
    """What two tasks are compared by: G's diagonal [p], its centred ranks [p], both of norm 1; eigenvectors [k, p]."""

    diagonal: np.ndarray
    ranks: np.ndarray
    eigenvectors: np.ndarray

    @classmethod
    def of(cls, arrays: Arrays) -> Curvature:
        """That of a spectrum job's file."""
        ranks = rankdata(arrays["diagonal"])
        return cls(_unit(arrays["diagonal"]), _unit(ranks - ranks.mean()), arrays["eigenvectors"])


def alignments(tasks: Iterable[tuple[str, int, str]], read: Callable[[str], Curvature]) -> Iterator[dict[str, Any]]:
    """Rows of ALIGNMENT without study and backbone: every two tasks of one seed, every two seeds of one task.

    tasks: task, seed and file of each spectrum of one backbone; read: the file's curvature.
    """
    ordered = sorted(tasks)
    for place, (task, seed, path) in enumerate(ordered):
        pairs = [entry for entry in ordered[place + 1 :] if (entry[0] == task) != (entry[1] == seed)]
        first = read(path) if pairs else None
        for other_task, other_seed, other_path in pairs:
            yield {
                "between": "draws" if task == other_task else "tasks",
                **{"task": task, "seed": seed, "other_task": other_task, "other_seed": other_seed},
                **agreement(first, read(other_path)),
            }


def agreement(first: Curvature, second: Curvature) -> dict[str, float]:
    """Cosine and rank correlation of two diagonals, and the overlap ‖U₁ᵀU₂‖²_F / k of the top k eigenvectors.

    The overlap is the mean squared cosine of the principal angles between the two subspaces (Gur-Ari, Roberts, Dyer
    2018, arXiv 1812.04754): 1 if they are one, k / p by chance.
    """
    count, size = first.eigenvectors.shape
    return {
        "diagonal_cosine": float(first.diagonal @ second.diagonal),
        "diagonal_correlation": float(first.ranks @ second.ranks),
        "subspace_overlap": float(np.square(first.eigenvectors @ second.eigenvectors.T).sum() / count),
        "chance_overlap": count / size,
    }


def with_scores(perturbations: pd.DataFrame, predicted_loss: pd.DataFrame) -> pd.DataFrame:
    """The rows with `predicted` and `measured_test` of predicted_loss.parquet, null where it has none.

    The score's estimate stands for every task; a task that is no target was not measured on test images.
    """
    criterion = ["backbone", "score", "prune_source", "mask", "sparsity", "seed"]
    predicted = predicted_loss.drop_duplicates(criterion)[[*criterion, "predicted"]]
    frozen = predicted_loss[predicted_loss["readout"] == "zero_shot"]
    measured = frozen.rename(columns={"target": "task", "measured": "measured_test"})
    measured = measured[[*criterion, "task", "measured_test"]]
    return perturbations.merge(predicted, how="left", on=criterion).merge(measured, how="left", on=[*criterion, "task"])


def _unit(values: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(values)
    return values / norm if norm else values
