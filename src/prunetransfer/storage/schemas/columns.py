"""Columns: how one is declared, and those that many tables share."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

CLASSES = pa.list_(pa.int16())


def key(name: str, kind: pa.DataType, meaning: str, unit: str = "", nullable: bool = False) -> pa.Field:
    """A column that, with the table's other keys, names one row."""
    return pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning, "unit": unit, "key": "yes"})


def value(name: str, kind: pa.DataType, meaning: str, unit: str = "", nullable: bool = False) -> pa.Field:
    """A column that holds what was found. Unit and meaning go into the file: it explains itself."""
    return pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning, "unit": unit, "key": "no"})


def keys(fields: Iterable[pa.Field]) -> list[str]:
    """The columns that together name one row of a table. fields: its schema."""
    return [field.name for field in fields if field.metadata[b"key"] == b"yes"]


def without(fields: Iterable[pa.Field], *names: str) -> list[pa.Field]:
    return [field for field in fields if field.name not in names]


STUDY = key("study", pa.string(), "name of the study")
BACKBONE = key("backbone", pa.string(), "name of the backbone in the config")
SCORE = key("score", pa.string(), "name of the pruning score in the config")
PRUNE_SOURCE = key(
    "prune_source",
    pa.string(),
    "dataset that the score was computed on, or several in turn, `A-then-B`; null if the score is data-free",
    nullable=True,
)
MASK = key("mask", pa.string(), "how weights were chosen by their scores: an entry of `masks`")
SPARSITY = key("sparsity", pa.float64(), "share of the prunable weights asked to go", "fraction")
RECOVERY = key(
    "recovery",
    pa.string(),
    "what was done to the pruned backbone: `none`, or an entry of `recoveries`; `steps`: what its score's `steps` say",
)
METHOD = value(
    "method", pa.string(), "what the recovery does, whatever its entry is called; links of a chain joined by `+`"
)
TUNED_ON = key("tuned_on", pa.string(), "dataset that the recovery used; null if it used none", nullable=True)
TARGET = key("target", pa.string(), "dataset whose test images were classified")
OWN_SOURCES = value(
    "own_sources",
    pa.string(),
    "datasets among the study's sources that show images of the target's dataset, joined by `+`; null if none does",
    nullable=True,
)
ROLE = value(
    "role",
    pa.string(),
    "`source` if the mask or the recovery saw images of the target's dataset, else `transfer`; `shifted` under a "
    "condition",
)
OF_ROLE = key("role", pa.string(), "which targets the row is about: `source` or `transfer`")
READOUT = key(
    "readout",
    pa.string(),
    "how accuracy is read: `zero_shot` by the target's dense head, frozen; `linear_probe` by a head fitted anew; "
    "`knn` by the nearest train images",
)
SEED = key("seed", pa.int64(), "seed of everything drawn at random")
CONFIDENCE = value("confidence", pa.float64(), "level of the intervals, two-sided", "fraction")
P_HOLM = value("p_holm", pa.float64(), "p_value after Holm's correction")

# What names a mask, its seed apart, which stands last; and a measurement of a pruned backbone on one target.
OF_MASK = [STUDY, BACKBONE, SCORE, PRUNE_SOURCE, MASK, SPARSITY]
OF_MEASUREMENT = [*OF_MASK, RECOVERY, METHOD, TUNED_ON, TARGET, OWN_SOURCES, ROLE, READOUT, SEED]
