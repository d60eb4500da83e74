"""The study's tables: Parquet files that hold exactly the columns that `schemas` declares.

A table's key columns together name one row; rows are stored in their order.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from prunetransfer.storage.artifacts import DAMAGED, PROVENANCE, ArtifactError, carried, check, write_sealed
from prunetransfer.storage.schemas.columns import CLASSES, keys
from prunetransfer.storage.sealing import unsealed

ACCEPTED = {
    pa.string(): (pa.types.is_string, pa.types.is_large_string),
    pa.int64(): (pa.types.is_integer,),
    pa.float64(): (pa.types.is_floating, pa.types.is_integer),
    pa.bool_(): (pa.types.is_boolean,),
    CLASSES: (lambda found: pa.types.is_list(found) and pa.types.is_integer(found.value_type),),
}


def write_table(
    path: str | os.PathLike, frame: pd.DataFrame, schema: pa.Schema, metadata: Mapping[str, Any] | None = None
) -> None:
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
    table = table.replace_schema_metadata(carried(metadata or {}))
    write_sealed(path, lambda partial: pq.write_table(table, partial))


def read_table(path: str | os.PathLike, schema: pa.Schema) -> pd.DataFrame:
    """A table that `write_table` wrote. Raises ArtifactError if it is missing, damaged or of another schema."""
    check(path)
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except pa.ArrowException as error:
        raise ArtifactError(f"{path}: {DAMAGED} ({error})") from None
    _check_names(path, table.column_names, schema)
    for field in schema:
        if table.schema.field(field.name).type != field.type:
            found = table.schema.field(field.name).type
            raise ArtifactError(f"{path}: column {field.name} holds {found}; allowed is {field.type}")
    return table.select(schema.names).to_pandas()


def table_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """The metadata that `write_table` put into a file. Raises ArtifactError as `read_table` does."""
    check(path)
    try:
        return unsealed(pq.read_schema(path).metadata[PROVENANCE.encode()])
    except pa.ArrowException as error:
        raise ArtifactError(f"{path}: {DAMAGED} ({error})") from None


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
