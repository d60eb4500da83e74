import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prunetransfer.storage.artifacts import ArtifactError
from prunetransfer.storage.schemas.accuracy import ACCURACY, PREDICTIONS
from prunetransfer.storage.schemas.columns import CLASSES, keys
from prunetransfer.storage.schemas.masks import LAYER_SPARSITY, PARAMETERS
from prunetransfer.storage.schemas.registry import TABLES
from prunetransfer.storage.tables import read_table, table_metadata, write_table

DOCS = Path(__file__).parents[2] / "docs/results.md"


def layers(**changed) -> pd.DataFrame:
    columns = {
        "study": ["mini"] * 3,
        "backbone": ["vit", "resnet", "resnet"],
        "score": ["block", "block", "magnitude"],
        "prune_source": ["digits", "digits", None],
        "seed": [0, 0, 0],
        "mask": ["global"] * 3,
        "sparsity": [0.5, 0.1, 0.1],
        "layer": ["fc.weight", "conv1.weight", "conv1.weight"],
        "depth": [3, 0, 0],
        "weights": [10, 20, 20],
        "pruned": [5, 1, 2],
        "layer_sparsity": [0.5, 0.05, 0.1],
    }
    return pd.DataFrame(columns | changed)


def test_a_table_comes_back_sorted_by_its_keys_with_its_nulls_and_types(tmp_path):
    write_table(tmp_path / "t.parquet", layers(), LAYER_SPARSITY, {})
    read = read_table(tmp_path / "t.parquet", LAYER_SPARSITY)
    assert list(read.columns) == LAYER_SPARSITY.names
    assert read["backbone"].tolist() == ["resnet", "resnet", "vit"]
    assert read["prune_source"].isna().tolist() == [False, True, False]
    assert read["pruned"].tolist() == [1, 2, 5]
    assert read["pruned"].dtype == np.int64
    assert read["layer_sparsity"].dtype == np.float64


@pytest.mark.parametrize("schema", [*TABLES.values(), PREDICTIONS])
def test_every_column_is_of_a_type_that_other_readers_know(schema):
    assert set(schema.types) <= {pa.string(), pa.int64(), pa.float64(), pa.bool_(), CLASSES}


@pytest.mark.parametrize("reader", ["pandas", "polars", "duckdb"])
def test_other_readers_find_the_same_values_and_nulls(tmp_path, reader):
    library = pytest.importorskip(reader)
    path = tmp_path / "t.parquet"
    classes = pd.DataFrame({"target": "a", "readout": "knn", "predicted": [[0, 2], [1, 2]]})
    classes = classes.assign(mask=[None, "global"], sparsity=[None, 0.5])
    for frame, schema in ((layers(), LAYER_SPARSITY), (classes, PREDICTIONS)):
        write_table(path, frame, schema, {})
        found = library.sql(f"FROM '{path}'").arrow() if reader == "duckdb" else library.read_parquet(path)
        rows = {
            "pandas": lambda found: found.astype(object).where(found.notna(), None).to_dict("records"),
            "polars": lambda found: found.to_dicts(),
            "duckdb": lambda found: found.read_all().to_pylist(),
        }[reader](found)
        plain = [{name: list(v) if name == "predicted" else v for name, v in row.items()} for row in rows]
        assert plain == pq.read_table(path).to_pylist()


def test_a_table_may_have_no_rows(tmp_path):
    write_table(tmp_path / "t.parquet", pd.DataFrame([], columns=PARAMETERS.names), PARAMETERS, {})
    read = read_table(tmp_path / "t.parquet", PARAMETERS)
    assert len(read) == 0
    assert read["prunable"].dtype == bool


def test_truth_is_not_read_out_of_numbers(tmp_path):
    row = {"study": "mini", "backbone": "vit", "parameter": "norm.weight", "depth": 0, "numbers": 3, "left_out": None}
    write_table(tmp_path / "t.parquet", pd.DataFrame([{**row, "prunable": True}]), PARAMETERS, {})
    assert read_table(tmp_path / "t.parquet", PARAMETERS)["prunable"].tolist() == [True]
    with pytest.raises(ArtifactError, match="column prunable holds int64; allowed is bool"):
        write_table(tmp_path / "t.parquet", pd.DataFrame([{**row, "prunable": 1}]), PARAMETERS, {})


def test_the_same_rows_in_any_order_give_the_same_bytes(tmp_path):
    write_table(tmp_path / "a.parquet", layers(), LAYER_SPARSITY, {"b": 1, "a": 2})
    reversed_rows = layers().iloc[::-1, ::-1]
    write_table(tmp_path / "b.parquet", reversed_rows, LAYER_SPARSITY, {"a": 2, "b": 1})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_file_carries_its_provenance_and_the_meaning_of_its_columns(tmp_path):
    write_table(tmp_path / "t.parquet", layers(), LAYER_SPARSITY, {"settings": {"masks": 2}})
    assert table_metadata(tmp_path / "t.parquet") == {"settings": {"masks": 2}}
    schema = pq.read_schema(tmp_path / "t.parquet")
    assert schema.field("pruned").metadata[b"meaning"] == b"weights of the layer that are pruned"
    assert not schema.field("pruned").nullable


def test_a_column_of_nulls_alone_is_text_where_text_is_asked(tmp_path):
    """Joining frames turns a column of None into one of NaN."""
    frame = layers(backbone=["a", "b", "c"], prune_source=[np.nan] * 3)
    assert frame["prune_source"].dtype == np.float64
    write_table(tmp_path / "t.parquet", frame, LAYER_SPARSITY, {})
    assert pq.read_schema(tmp_path / "t.parquet").field("prune_source").type == pa.string()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (layers().drop(columns="depth"), "missing depth"),
        (layers(colour=["red"] * 3), "unknown colour"),
        (layers(pruned=["5", "1", "2"]), "column pruned holds .*string; allowed is int64"),
        (layers(pruned=[5.0, 1.0, 2.0]), "column pruned holds double; allowed is int64"),
        (layers(layer_sparsity=["a", "b", "c"]), "column layer_sparsity holds .*string; allowed is double"),
        (layers(layer=[1, 2, 3]), "column layer holds int64; allowed is string"),
        (layers(study=["mini", 1, 2]), "column study is not string"),
        (layers(backbone=["vit", None, "resnet"]), "column backbone is empty or NaN in 1 rows"),
        (layers(layer_sparsity=[np.nan, np.nan, 0.1]), "column layer_sparsity is empty or NaN in 2 rows"),
        (layers(layer_sparsity=[np.inf, 0.1, -np.inf]), "column layer_sparsity is infinite in 2 rows"),
        (layers(score=["block"] * 3, prune_source=[None] * 3), "2 rows share their key .*'layer': 'conv1.weight'"),
    ],
)
def test_a_table_that_breaks_its_schema_is_refused_and_not_written(tmp_path, frame, message):
    path = tmp_path / "t.parquet"
    with pytest.raises(ArtifactError, match=message) as refused:
        write_table(path, frame, LAYER_SPARSITY, {})
    assert str(refused.value).startswith(f"{path}: ")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"absent\.parquet: no such file"):
        read_table(tmp_path / "absent.parquet", LAYER_SPARSITY)
    path = tmp_path / "t.parquet"
    write_table(path, layers(), LAYER_SPARSITY, {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"t\.parquet: damaged"):
        read_table(path, LAYER_SPARSITY)


def test_a_file_of_another_schema_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, layers(), LAYER_SPARSITY, {})
    with pytest.raises(ArtifactError, match=r"t\.parquet: wrong columns: missing recovery, .*unknown layer"):
        read_table(path, ACCURACY)
    depth = LAYER_SPARSITY.get_field_index("depth")
    write_table(path, layers(), LAYER_SPARSITY.set(depth, LAYER_SPARSITY.field(depth).with_type(pa.float64())), {})
    with pytest.raises(ArtifactError, match=r"t\.parquet: column depth holds double; allowed is int64"):
        read_table(path, LAYER_SPARSITY)


def test_one_row_of_accuracy_is_named_by_what_was_measured():
    assert keys(ACCURACY) == [
        *("study", "backbone", "score", "prune_source", "mask", "sparsity"),
        *("recovery", "tuned_on", "target", "readout", "seed"),
    ]


@pytest.mark.parametrize(("table", "schema"), [*TABLES.items(), ("predictions", PREDICTIONS)])
def test_the_documentation_describes_every_column_as_the_schema_does(table, schema):
    section = re.split(r"^## ", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{table}.parquet\n")]
    documented = re.findall(r"^\| `(\w+)`( \(key\))? \| ([^|]+) \| ([^|]*?) ?\| ([^|]+) \|$", text, flags=re.MULTILINE)
    assert documented == [
        (
            field.name,
            " (key)" if field.name in keys(schema) else "",
            f"{field.type} or null" if field.nullable else str(field.type),
            field.metadata[b"unit"].decode(),
            field.metadata[b"meaning"].decode(),
        )
        for field in schema
    ]
