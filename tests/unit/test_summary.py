"""The `prunetransfer summary` command on folders of studies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from unit.findings import empty

from prunetransfer.__main__ import main
from prunetransfer.storage.schemas.registry import TABLES
from prunetransfer.storage.tables import write_table


def said(monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    monkeypatch.setattr(sys, "argv", ["prunetransfer", "summary", str(folder)])
    with pytest.raises(SystemExit) as left:
        main()
    return str(left.value)


def test_a_study_that_is_not_finished_says_what_it_lacks_and_how_far_it_is(tmp_path, monkeypatch):
    folder = tmp_path / "mini"
    for name in ("accuracy", "verdicts", "dense"):
        (folder / "tables").mkdir(parents=True, exist_ok=True)
        write_table(folder / f"tables/{name}.parquet", empty(name)[name], TABLES[name], {})
    for file in (
        "heads/vit/a.safetensors",
        "heads/vit/b.safetensors",
        "evaluations/vit/x/none/a/seed0.predictions.parquet",
    ):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    text = said(monkeypatch, folder)
    assert text.startswith(f"prunetransfer: {folder} is not finished: it lacks the tables safe_sparsity, retention, ")
    assert "accuracy" not in text and "verdicts" not in text
    assert "2 heads, 0 scores, 0 masks, 0 recovered, 1 evaluations" in text and "--dry-run" in text


def test_a_study_that_is_not_there_is_told_from_those_that_are(tmp_path, monkeypatch):
    (tmp_path / "mini").mkdir()
    text = said(monkeypatch, tmp_path / "mimi")
    assert text == f"prunetransfer: {tmp_path / 'mimi'}: no such study; there are {tmp_path / 'mini'}"
