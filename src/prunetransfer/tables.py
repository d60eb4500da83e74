"""The study's tables: their columns, declared once, and Parquet files that hold exactly those.

Every field carries its unit and meaning as metadata, so a file explains itself; docs/results.md shows the same, and a
test keeps the two in step. A table's key columns together name one row; rows are stored in their order.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from prunetransfer.artifacts import PROVENANCE, ArtifactError, write_atomically

CLASSES = pa.list_(pa.int16())
ACCEPTED = {
    pa.string(): (pa.types.is_string, pa.types.is_large_string),
    pa.int64(): (pa.types.is_integer,),
    pa.float64(): (pa.types.is_floating, pa.types.is_integer),
    pa.bool_(): (pa.types.is_boolean,),
    CLASSES: (lambda found: pa.types.is_list(found) and pa.types.is_integer(found.value_type),),
}


def _key(name: str, kind: pa.DataType, meaning: str, nullable: bool = False) -> pa.Field:
    return _field(name, kind, "", meaning, nullable, key=True)


def _value(name: str, kind: pa.DataType, unit: str, meaning: str, nullable: bool = False) -> pa.Field:
    return _field(name, kind, unit, meaning, nullable, key=False)


def _field(name: str, kind: pa.DataType, unit: str, meaning: str, nullable: bool, key: bool) -> pa.Field:
    metadata = {"meaning": meaning, "unit": unit, "key": "yes" if key else "no"}
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


STUDY = _key("study", pa.string(), "name of the study")
BACKBONE = _key("backbone", pa.string(), "name of the backbone in the config")
SCORE = _key("score", pa.string(), "name of the pruning score in the config")
PRUNE_SOURCE = _key(
    "prune_source", pa.string(), "dataset that the score was computed on; null if the score is data-free", nullable=True
)
SEED = _key("seed", pa.int64(), "seed of everything drawn at random")
SPARSITY = _field(
    "sparsity", pa.float64(), "fraction", "share of the prunable weights asked to go", nullable=False, key=True
)
READOUT = _key(
    "readout",
    pa.string(),
    "how accuracy is read: `zero_shot` by the target's dense head, frozen; `linear_probe` by a head fitted anew; "
    "`knn` by the nearest train images",
)

CONFIDENCE = _value("confidence", pa.float64(), "fraction", "level of the intervals, two-sided")

ACCURACY = pa.schema(
    [
        STUDY,
        BACKBONE,
        _value("architecture", pa.string(), "", "what built the backbone: a timm name or a factory"),
        _value("pretraining", pa.string(), "", "label of the pre-training that gave the weights"),
        SCORE,
        PRUNE_SOURCE,
        SPARSITY,
        _value("achieved_sparsity", pa.float64(), "fraction", "share of the prunable weights that are gone"),
        _key("recovery", pa.string(), "what was done to the pruned backbone: `none`, or an entry of `recoveries`"),
        _key("tuned_on", pa.string(), "dataset that the recovery used; null if it used none", nullable=True),
        _key("target", pa.string(), "dataset whose test images were classified"),
        _value("role", pa.string(), "", "`source` if the target is prune_source or tuned_on, else `transfer`"),
        READOUT,
        SEED,
        _value("n", pa.int64(), "images", "test images classified"),
        _value("correct", pa.int64(), "images", "test images classified correctly"),
        _value("top1", pa.float64(), "fraction", "correct / n"),
        _value(
            "loss",
            pa.float64(),
            "",
            "mean loss over the test images: ½‖f - y‖² of a ridge head, cross-entropy of a logistic; null for `knn`",
            nullable=True,
        ),
        _value("dense_top1", pa.float64(), "fraction", "top1 of the dense backbone: same target, readout and images"),
        _value("dense_loss", pa.float64(), "", "loss of the dense backbone, likewise; null for `knn`", nullable=True),
        _value("retention", pa.float64(), "ratio", "top1 / dense_top1; above 1 where pruning helped"),
        _value("images_per_second", pa.float64(), "images/s", "test images that the backbone read in a second"),
        _value("device", pa.string(), "", "what computed the row: `cpu` or the name of a GPU"),
    ]
)

# What one evaluation job knows; the study and the backbone's labels are added where its rows are joined.
EVALUATION = pa.schema([field for field in ACCURACY if field.name not in ("study", "architecture", "pretraining")])

# What one evaluation job answered, image by image, so that statistics can pair measurements on the same images.
PREDICTIONS = pa.schema(
    [
        _key("sparsity", pa.float64(), "share of the prunable weights asked to go; null: the dense backbone", True),
        _key("readout", pa.string(), "as in accuracy.parquet; in one row `label`: the true classes"),
        _value("predicted", CLASSES, "", "the class of each test image, in the order of the prepared test split"),
    ]
)

LAYER_SPARSITY = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        PRUNE_SOURCE,
        SEED,
        SPARSITY,
        _key("layer", pa.string(), "name of the prunable weight"),
        _value("depth", pa.int64(), "", "place of the layer in forward order, from 0"),
        _value("weights", pa.int64(), "weights", "weights of the layer"),
        _value("pruned", pa.int64(), "weights", "weights of the layer that are gone"),
        _value("layer_sparsity", pa.float64(), "fraction", "pruned / weights"),
    ]
)

DAMPING = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        PRUNE_SOURCE,
        SEED,
        _key("damping", pa.float64(), "λ as the config gives it or `auto` tried it, absolute or relative"),
        _value(
            "loss",
            pa.float64(),
            "",
            "mean loss of the pruned backbone on held-out source images; null where λ was given or could not be used",
            nullable=True,
        ),
        _value("chosen", pa.bool_(), "", "whether the score was computed with this λ"),
    ]
)

CONVERGENCE = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        PRUNE_SOURCE,
        SEED,
        SPARSITY,
        _value("samples", pa.int64(), "images", "images that the score saw"),
        _value("reference_samples", pa.int64(), "images", "images that the reference saw, the score with most"),
        _value("rank_correlation", pa.float64(), "", "Spearman correlation of the two scores over all weights"),
        _value("overlap", pa.float64(), "fraction", "share of what the reference keeps that this mask keeps"),
    ]
)

TRAINING = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        PRUNE_SOURCE,
        SEED,
        SPARSITY,
        _key("recovery", pa.string(), "recovery that trained"),
        _key("tuned_on", pa.string(), "dataset that it trained on"),
        _key("epoch", pa.int64(), "epoch, from 1"),
        _value("step", pa.int64(), "steps", "steps taken by the end of the epoch"),
        _value("loss", pa.float64(), "", "mean training loss over the epoch, each batch before its step"),
        _value("train_top1", pa.float64(), "fraction", "train images classified correctly, each batch before its step"),
        _value("learning_rate", pa.float64(), "", "learning rate of the epoch's last step"),
        _value("seconds", pa.float64(), "s", "time that the epoch took"),
    ]
)

VERDICTS = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        READOUT,
        _key("prediction", pa.string(), "prediction of the paper that the row judges: `P1` or `P2`"),
        _key("role", pa.string(), "which targets the row is about: `source` or `transfer`"),
        _value("verdict", pa.string(), "", "P1: `holds`, `partly`, `fails`; P2: `improved`, `mixed`, `harmed`"),
        _value("cases", pa.int64(), "", "P1: (source, target, seed) triples in each mean; P2: pairs compared"),
        _value("tolerance", pa.float64(), "ratio", "P1: τ, the loss of retention that counts as none", True),
        _value(
            "safe_sparsity",
            pa.float64(),
            "fraction",
            "P1: largest tried sparsity up to which mean retention is at least 1 - τ at every one; 0 if there is none",
            True,
        ),
        _value(
            "assured_sparsity",
            pa.float64(),
            "fraction",
            "P1: the same of the lower end of the interval of mean retention",
            True,
        ),
        CONFIDENCE,
        _value("change", pa.float64(), "fraction", "P2: mean of top1 after fine-tuning minus before", True),
        _value("low", pa.float64(), "fraction", "P2: lower end of the interval of change", True),
        _value("high", pa.float64(), "fraction", "P2: upper end of the interval of change", True),
        _value("fell", pa.int64(), "", "P2: pairs whose top1 fell", True),
    ]
)

RECOVERY = _key("recovery", pa.string(), "what was done to the pruned backbone")
TUNED_ON = _key("tuned_on", pa.string(), "dataset that the recovery used; null if it used none", nullable=True)
TARGET = _key("target", pa.string(), "dataset whose test images were classified")
P_HOLM = _value("p_holm", pa.float64(), "", "p_value after Holm's correction")
ROLE = _value("role", pa.string(), "", "`source` or `transfer`, as in accuracy.parquet")

INTERVALS = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        PRUNE_SOURCE,
        SPARSITY,
        RECOVERY,
        TUNED_ON,
        TARGET,
        ROLE,
        READOUT,
        _value("seeds", pa.int64(), "", "seeds that the mean runs over"),
        _value("n", pa.int64(), "images", "test images, the same before and after"),
        _value("retention", pa.float64(), "ratio", "mean retention over the seeds"),
        _value("low", pa.float64(), "ratio", "lower end of its paired interval"),
        _value("high", pa.float64(), "ratio", "upper end of its paired interval"),
        CONFIDENCE,
    ]
)

CHANGES = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        _key("source", pa.string(), "dataset that the mask or the recovery used", nullable=True),
        SPARSITY,
        RECOVERY,
        _key("target", pa.string(), "dataset whose test images were classified; null: all transfer targets", True),
        ROLE,
        READOUT,
        SEED,
        _value("n", pa.int64(), "images", "test images, the same before and after"),
        _value("gained", pa.int64(), "images", "wrong before the recovery, right after"),
        _value("lost", pa.int64(), "images", "right before the recovery, wrong after"),
        _value("change", pa.float64(), "fraction", "(gained - lost) / n"),
        _value("p_value", pa.float64(), "", "McNemar's exact test of no change, two-sided"),
        P_HOLM,
        _value("verdict", pa.string(), "", "`higher`, `lower`, or `equal` where no change was shown"),
    ]
)

COMPARISONS = pa.schema(
    [
        STUDY,
        BACKBONE,
        READOUT,
        _key("role", pa.string(), "which targets the row is about: `source` or `transfer`"),
        SPARSITY,
        SCORE,
        _key("other_score", pa.string(), "the pruning score that it is compared with"),
        _value("cases", pa.int64(), "", "(source, target, seed) triples that both have"),
        _value("difference", pa.float64(), "fraction", "mean top1 of score minus that of other_score"),
        _value("low", pa.float64(), "fraction", "lower end of its paired interval"),
        _value("high", pa.float64(), "fraction", "upper end of its paired interval"),
        CONFIDENCE,
        _value("p_value", pa.float64(), "", "test of no difference, two-sided"),
        P_HOLM,
        _value("verdict", pa.string(), "", "`higher`, `lower`, or `equal` where no difference was shown"),
    ]
)

MASK_OVERLAP = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        SPARSITY,
        _key("between", pa.string(), "`sources`: two sources, one seed; `draws`: one source, two seeds"),
        _key("prune_source", pa.string(), "dataset that the first mask was computed on"),
        _key("other_source", pa.string(), "dataset that the second mask was computed on"),
        SEED,
        _key("other_seed", pa.int64(), "seed of the second mask"),
        _value("overlap", pa.float64(), "fraction", "share of the weights kept by one mask that the other keeps"),
    ]
)

SAFE_SPARSITY = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        PRUNE_SOURCE,
        RECOVERY,
        TUNED_ON,
        TARGET,
        ROLE,
        READOUT,
        SEED,
        _value("alpha", pa.float64(), "fraction", "α, the accuracy that may be lost"),
        _value("delta", pa.float64(), "fraction", "δ, the risk that more is lost"),
        _value("calibration_images", pa.int64(), "images", "test images that the sparsity was chosen on"),
        _value("safe_sparsity", pa.float64(), "fraction", "largest sparsity shown to be safe; 0 if there is none"),
        _value("next_sparsity", pa.float64(), "fraction", "the next one tried, not shown; null if there is none", True),
        _value("report_images", pa.int64(), "images", "test images that had no part in the choice"),
        _value("lost", pa.float64(), "fraction", "accuracy lost at safe_sparsity on the report images"),
        _value("low", pa.float64(), "fraction", "lower end of its interval"),
        _value("high", pa.float64(), "fraction", "upper end of its interval"),
        CONFIDENCE,
        _value("violations", pa.float64(), "fraction", "share of draws from all test images whose choice loses over α"),
    ]
)

PREDICTED_LOSS = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        PRUNE_SOURCE,
        SPARSITY,
        TARGET,
        ROLE,
        READOUT,
        SEED,
        _value("predicted", pa.float64(), "", "sum of the scores of the pruned weights"),
        _value("measured", pa.float64(), "", "mean test loss of the pruned backbone minus that of the dense one"),
    ]
)

PREDICTED_SAFE = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        PRUNE_SOURCE,
        TARGET,
        ROLE,
        READOUT,
        SEED,
        _value(
            "rank_correlation", pa.float64(), "", "Spearman correlation of predicted and measured over sparsities", True
        ),
        _value("allowed", pa.float64(), "", "loss increase that counts as none: τ × the dense loss"),
        _value("predicted_sparsity", pa.float64(), "fraction", "largest one up to which predicted is at most allowed"),
        _value("measured_sparsity", pa.float64(), "fraction", "largest one up to which measured is at most allowed"),
    ]
)


def keys(schema: pa.Schema) -> list[str]:
    """The columns that together name one row of a table."""
    return [field.name for field in schema if field.metadata[b"key"] == b"yes"]


def write_table(path: str | os.PathLike, frame: pd.DataFrame, schema: pa.Schema, metadata: Mapping[str, Any]) -> None:
    """Write `frame` as Parquet with exactly the columns of `schema`, and `metadata` (anything JSON can hold) inside it.

    Rows are sorted by the key columns, so the same data give the same bytes. Raises ArtifactError, naming the file and
    the column, for a missing or unknown column, a value of another type, a null or NaN where none is allowed, an
    infinite number, and two rows of one key.
    """
    _check_names(path, frame.columns, schema)
    table = pa.Table.from_arrays([_column(path, frame[field.name], field) for field in schema], schema=schema)
    order = keys(schema)
    repeated = table.to_pandas().duplicated(order, keep=False)
    if repeated.any():
        row = table.slice(int(np.argmax(repeated)), 1).select(order).to_pylist()[0]
        raise ArtifactError(f"{path}: {repeated.sum()} rows share their key with another one; the first is {row}")
    table = table.sort_by([(name, "ascending") for name in order])
    table = table.replace_schema_metadata({PROVENANCE: json.dumps(metadata, sort_keys=True)})
    write_atomically(path, lambda partial: pq.write_table(table, partial))


def read_table(path: str | os.PathLike, schema: pa.Schema) -> pd.DataFrame:
    """A table that `write_table` wrote. Raises ArtifactError if it is missing, damaged or of another schema."""
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{path}: not a readable Parquet file ({error})") from None
    _check_names(path, table.column_names, schema)
    for field in schema:
        if table.schema.field(field.name).type != field.type:
            found = table.schema.field(field.name).type
            raise ArtifactError(f"{path}: column {field.name} holds {found}; allowed is {field.type}")
    return table.select(schema.names).to_pandas()


def table_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """The metadata that `write_table` put into a file. Raises ArtifactError if it is not one of ours."""
    try:
        return json.loads(pq.read_schema(path).metadata[PROVENANCE.encode()])
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path}: not a table of this study ({error})") from None


def _check_names(path: str | os.PathLike, names: Iterable[str], schema: pa.Schema) -> None:
    names = list(names)
    faults = {
        "missing": [name for name in schema.names if name not in names],
        "unknown": [str(name) for name in names if name not in schema.names],
        "repeated": sorted({str(name) for name in names if names.count(name) > 1}),
    }
    found = "; ".join(f"{fault} {', '.join(columns)}" for fault, columns in faults.items() if columns)
    if found:
        raise ArtifactError(f"{path}: wrong columns: {found}. Allowed are exactly {', '.join(schema.names)}")


def _column(path: str | os.PathLike, values: pd.Series, field: pa.Field) -> pa.Array:
    """The values as the field's type. Numbers are never read out of text, nor integers out of fractions."""
    try:
        array = pa.array(values, from_pandas=True)
        if array.null_count == len(array):
            array = pa.nulls(len(array), field.type)  # pandas cannot know the type of a column of nulls
        elif not any(accepts(array.type) for accepts in ACCEPTED[field.type]):
            raise ArtifactError(f"{path}: column {field.name} holds {array.type}; allowed is {field.type}")
        array = array.cast(field.type)
    except pa.ArrowException as error:
        raise ArtifactError(f"{path}: column {field.name} is not {field.type}: {error}") from None
    if array.null_count and not field.nullable:
        raise ArtifactError(f"{path}: column {field.name} is empty or NaN in {array.null_count} rows; none is allowed")
    if pa.types.is_floating(field.type):
        infinite = int(np.isinf(array.to_numpy(zero_copy_only=False)).sum())
        if infinite:
            raise ArtifactError(f"{path}: column {field.name} is infinite in {infinite} rows; none is allowed")
    return array
