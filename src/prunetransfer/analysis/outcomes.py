"""Outcomes: which test images are classified right, dense and pruned, for every measurement of a study.

A frame with one row a measurement: KEY_COLUMNS, and two bool arrays [n] over the same images in the
same order, `dense` and `correct` (pruned). Rows of one target share the images.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from prunetransfer.analysis.dense import above_chance
from prunetransfer.analysis.paired import Cell
from prunetransfer.analysis.recovered import with_methods
from prunetransfer.analysis.retention import with_sources
from prunetransfer.analysis.roles import with_roles
from prunetransfer.analysis.shared import with_seeds
from prunetransfer.stages.jobs import Job
from prunetransfer.storage.artifacts import ArtifactError
from prunetransfer.storage.schemas.accuracy import PREDICTIONS
from prunetransfer.storage.schemas.columns import OF_MEASUREMENT
from prunetransfer.storage.tables import read_table, table_metadata

KEY_COLUMNS = [field.name for field in OF_MEASUREMENT]  # and what follows from them: method, own_sources, role


def read_outcomes(
    paths: Iterable[str | os.PathLike],
    dense: pd.DataFrame,
    study: str,
    seeds: Sequence[int],
    methods: Mapping[str, str],
    own_sources: Mapping[str, Sequence[str]],
    shifted: Collection[str] = (),
    in_steps: Collection[str] = (),
) -> pd.DataFrame:
    """The outcomes of evaluation jobs on the targets on which there is something to retain (see `above_chance`).

    paths: files of the schema PREDICTIONS, which name their job in their metadata; dense: the study's table DENSE;
    seeds: those of the study, each of which has a row of what all share (see `with_seeds`); methods, in_steps: as for
    `with_methods`; own_sources, shifted: as for `with_roles`. Raises ArtifactError, naming the file, if two jobs of one
    target did not see the same images.
    """
    rows, known = [], {}
    for path in paths:
        job = Job.parse(table_metadata(path)["wildcards"])
        for target, answers in read_table(path, PREDICTIONS).groupby("target"):
            labels = np.asarray(answers.set_index("readout").loc["label", "predicted"])
            first = known.setdefault(target, (path, labels))
            if not np.array_equal(first[1], labels):
                raise ArtifactError(
                    f"{path}: its images of {target} are not those of {first[0]}: they cannot be paired"
                )
            named = {"study": study, **job.key_columns, "target": target}
            rows += [named | found for found in _outcomes(answers[answers["readout"] != "label"], labels)]
    outcomes = with_methods(pd.DataFrame(rows, columns=[*KEY_COLUMNS, "dense", "correct"]), methods, in_steps)
    outcomes = with_roles(outcomes, own_sources, shifted=shifted)
    return with_seeds(outcomes[above_chance(outcomes, dense)], seeds)


def _outcomes(answers: pd.DataFrame, labels: np.ndarray) -> Iterator[dict[str, Any]]:
    """Which answers are right, beside those of the dense backbone."""
    correct = answers.assign(correct=[np.asarray(predicted) == labels for predicted in answers["predicted"]])
    is_dense = correct["sparsity"].isna()
    dense = correct[is_dense].set_index("readout")["correct"]
    for row in correct[~is_dense].itertuples():
        mask = {"mask": row.mask, "sparsity": row.sparsity}
        yield mask | {"readout": row.readout, "dense": dense[row.readout], "correct": row.correct}


def by_readout(outcomes: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The outcomes of each readout and entry of `masks`, with the column `source` (see `with_sources`)."""
    for _, read in outcomes.groupby(["readout", "mask"]):
        yield with_sources(read)


def cells(frame: pd.DataFrame, before: str = "dense", after: str = "correct") -> list[Cell]:
    """The paired cells of a frame's rows; before, after: its columns of outcomes."""
    rows = zip(frame["target"], frame["seed"], frame[before], frame[after], strict=True)
    return [Cell(target, seed, first, second) for target, seed, first, second in rows]
