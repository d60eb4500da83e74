"""The examples that readers copy from README and docs/results.md run, and find what plain arithmetic finds."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from prunetransfer.storage.artifacts import write_tensors
from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.schemas.verdicts import RETENTION
from prunetransfer.storage.tables import write_table

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXAMPLES = [
    code
    for page in ("README.md", "docs/results.md")
    for code in FENCE.findall((ROOT / page).read_text(encoding="utf-8"))
    if "results/mini/" in code
]

SOURCES, TARGETS = ("digits", "glyphs"), ("digits", "glyphs", "textures")
SCORES = {"magnitude": [None], "diagonal": SOURCES}
MADE_BY = {"revision": "abc", "versions": {"torch": "2"}, "images": {"sampling": "balanced"}}
PLACEHOLDERS = {pa.string(): "any", pa.int64(): 1, pa.float64(): 0.5}

Means = dict[tuple, float]


def measurements() -> list[dict[str, Any]]:
    """Two backbones, a data-free score and one of two sources; every accuracy is drawn, so no two groups agree."""
    generator = np.random.default_rng(0)
    rows = []
    for backbone, score, sparsity, recovery, readout, seed, target in product(
        ("resnet", "vit"), SCORES, (0.1, 0.5), ("none", "finetune"), ("zero_shot", "knn"), (0, 1), TARGETS
    ):
        for source in SOURCES if recovery == "finetune" else SCORES[score]:
            prune_source = source if None not in SCORES[score] else None
            tuned_on = source if recovery == "finetune" else None
            top1 = generator.uniform()
            rows.append(
                {
                    **{"backbone": backbone, "score": score, "prune_source": prune_source, "sparsity": sparsity},
                    **{"recovery": recovery, "tuned_on": tuned_on, "target": target, "readout": readout, "seed": seed},
                    **{"role": "source" if target == source else "transfer"},
                    **{"own_sources": target if target in SOURCES else None},
                    **{"top1": top1, "dense_top1": 0.8, "retention": top1 / 0.8},
                }
            )
    return rows


def plain_means(rows: list[dict[str, Any]]) -> Means:
    """Mean retention by backbone, score, recovery, readout, role and sparsity, one source after the other."""
    groups = defaultdict(list)
    for source, row in product(SOURCES, rows):
        if (row["prune_source"] or row["tuned_on"]) in (None, source):
            role = "source" if row["target"] == source else "transfer"
            names = ("backbone", "score", "recovery", "readout")
            groups[*(row[name] for name in names), role, row["sparsity"]].append(row["retention"])
    return {names: fmean(values) for names, values in groups.items()}


def filled(row: dict[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """A row of the schema, whose columns that no example reads hold anything."""
    return {field.name: row.get(field.name, None if field.nullable else PLACEHOLDERS[field.type]) for field in schema}


@pytest.fixture
def means(tmp_path, monkeypatch) -> Means:
    """The current folder has a study `mini` with what the examples read; returns what they should find."""
    rows = measurements()
    means = plain_means(rows)
    by = ("backbone", "score", "recovery", "readout", "role", "sparsity")
    tables = {
        "accuracy": (rows, ACCURACY),
        "retention": ([dict(zip(by, names, strict=True), retention=mean) for names, mean in means.items()], RETENTION),
    }
    folder = tmp_path / "results/mini"
    for file in ("tables/any", "heads/resnet-supervised/any", "scores/resnet-supervised/block@digits/any"):
        (folder / file).parent.mkdir(parents=True)
    for name, (content, schema) in tables.items():
        frame = pd.DataFrame([filled(row, schema) for row in content])
        write_table(folder / f"tables/{name}.parquet", frame, schema, MADE_BY)
    for file in ("heads/resnet-supervised/digits", "scores/resnet-supervised/block@digits/seed0"):
        write_tensors(folder / f"{file}.safetensors", {"any": np.zeros(1)}, MADE_BY)
    monkeypatch.chdir(tmp_path)
    return means


def shown(code: str) -> list[Any]:
    """What the lines of an example that only show a value show, in turn. Skips where a library is not installed."""
    names: dict[str, Any] = {}
    values = []
    for statement in ast.parse(code).body:
        if isinstance(statement, ast.Expr):
            values.append(eval(compile(ast.Expression(statement.value), "example", "eval"), names))
            continue
        if isinstance(statement, ast.Import):
            pytest.importorskip(statement.names[0].name)
        exec(compile(ast.Module([statement], []), "example", "exec"), names)
    return values


def bare(means: Means, role: str) -> Means:
    """The means of a role without recovery, by backbone, score and sparsity."""
    return {
        (backbone, score, sparsity): mean
        for (backbone, score, *read, of, sparsity), mean in means.items()
        if (read, of) == (["none", "zero_shot"], role)
    }


def finds_both_roles(values: list[Any], means: Means) -> None:
    for role in ("source", "transfer"):
        assert values[0].xs(role, level="role").stack().to_dict() == pytest.approx(bare(means, role))


def finds_unseen_tasks(values: list[Any], means: Means) -> None:
    assert values[0].stack().to_dict() == pytest.approx(bare(means, "transfer"))


def finds_unseen_tasks_in_polars(values: list[Any], means: Means) -> None:
    (wide,) = values
    found = {
        (row["backbone"], row["score"], float(name)): value
        for row in wide.to_dicts()
        for name, value in row.items()
        if name not in ("backbone", "score")
    }
    assert found == pytest.approx(bare(means, "transfer"))


def finds_unseen_tasks_in_duckdb(values: list[Any], means: Means) -> None:
    found = values[0].set_index(["backbone", "score", "sparsity"])["retention"]
    assert found.index.is_unique and found.to_dict() == pytest.approx(bare(means, "transfer"))


def finds_the_same_in_single_measurements(values: list[Any], means: Means) -> None:
    expected = {
        (backbone, score, recovery, role, sparsity): mean
        for (backbone, score, recovery, readout, role, sparsity), mean in means.items()
        if readout == "zero_shot"
    }
    assert values[0].to_dict() == pytest.approx(expected)


def finds_what_made_a_table(values: list[Any], means: Means) -> None:
    meaning, made_by = values
    assert meaning == ACCURACY.field("retention").metadata[b"meaning"]
    assert made_by | MADE_BY == made_by


def finds_versions_and_revision(values: list[Any], means: Means) -> None:
    assert values == [MADE_BY["versions"], MADE_BY["revision"]]


def finds_the_images_of_a_score(values: list[Any], means: Means) -> None:
    assert values == [MADE_BY["images"]]


FINDS = [
    finds_both_roles,
    finds_unseen_tasks,
    finds_unseen_tasks_in_polars,
    finds_unseen_tasks_in_duckdb,
    finds_the_same_in_single_measurements,
    finds_what_made_a_table,
    finds_versions_and_revision,
    finds_the_images_of_a_score,
]


@pytest.mark.parametrize(("code", "finds"), [*zip(EXAMPLES, FINDS, strict=True)], ids=[f.__name__ for f in FINDS])
def test_an_example(means, code, finds):
    finds(shown(code), means)
