"""The tables that every page and the summary answer from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

import pandas as pd

from prunetransfer.analysis.recovered import AS_MADE
from prunetransfer.analysis.retention import shown
from prunetransfer.storage.schemas.registry import TABLES
from prunetransfer.storage.tables import read_table


@dataclass(frozen=True)
class Findings:
    """Each field is the table of its name."""

    verdicts: pd.DataFrame
    safe_sparsity: pd.DataFrame
    retention: pd.DataFrame
    dense: pd.DataFrame
    pretrainings: pd.DataFrame
    pretraining_comparisons: pd.DataFrame

    @classmethod
    def read(cls, paths: Mapping[str, str | os.PathLike]) -> Findings:
        """paths: name of each table → its file; others may stand beside them. Raises ArtifactError as `read_table`."""
        return cls(**{field.name: read_table(paths[field.name], TABLES[field.name]) for field in fields(cls)})

    def best_first(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table by backbone, then by score: first the one whose masks keep most as they are made.

        That is mean retention over the sparsities, on transfer targets where there are any.
        """
        rows = shown(self.retention)
        rows = told_role(rows[rows["recovery"].isin(AS_MADE)])
        kept = rows.groupby(["backbone", "score"])["retention"].mean().to_dict()
        rank = [-kept.get(name, 0.0) for name in zip(frame["backbone"], frame["score"], strict=True)]
        return frame.assign(rank=rank).sort_values(["backbone", "rank"], kind="stable").drop(columns="rank")


def told_role(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of transfer targets, of source targets in a table without any."""
    return rows[rows["role"] == ("transfer" if "transfer" in set(rows["role"]) else "source")]
