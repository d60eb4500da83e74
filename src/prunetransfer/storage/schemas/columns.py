"""Columns: how one is declared, and those that many tables share."""

from __future__ import annotations

import pyarrow as pa

CLASSES = pa.list_(pa.int16())


def key(name: str, kind: pa.DataType, meaning: str, nullable: bool = False, unit: str = "") -> pa.Field:
    """A column that, with the table's other keys, names one row."""
    return pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning, "unit": unit, "key": "yes"})


def value(name: str, kind: pa.DataType, unit: str, meaning: str, nullable: bool = False) -> pa.Field:
    """A column that holds what was found. Unit and meaning go into the file: it explains itself."""
    return pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning, "unit": unit, "key": "no"})


STUDY = key("study", pa.string(), "name of the study")
BACKBONE = key("backbone", pa.string(), "name of the backbone in the config")
SCORE = key("score", pa.string(), "name of the pruning score in the config")
PRUNE_SOURCE = key(
    "prune_source", pa.string(), "dataset that the score was computed on; null if the score is data-free", nullable=True
)
SEED = key("seed", pa.int64(), "seed of everything drawn at random")
SPARSITY = key("sparsity", pa.float64(), "share of the prunable weights asked to go", unit="fraction")
READOUT = key(
    "readout",
    pa.string(),
    "how accuracy is read: `zero_shot` by the target's dense head, frozen; `linear_probe` by a head fitted anew; "
    "`knn` by the nearest train images",
)
RECOVERY = key("recovery", pa.string(), "what was done to the pruned backbone")
TUNED_ON = key("tuned_on", pa.string(), "dataset that the recovery used; null if it used none", nullable=True)
TARGET = key("target", pa.string(), "dataset whose test images were classified")
OF_ROLE = key("role", pa.string(), "which targets the row is about: `source` or `transfer`")
ROLE = value("role", pa.string(), "", "`source` or `transfer`, as in accuracy.parquet")
CONFIDENCE = value("confidence", pa.float64(), "fraction", "level of the intervals, two-sided")
P_HOLM = value("p_holm", pa.float64(), "", "p_value after Holm's correction")
