"""A home folder that cannot be written stops nothing: caches go elsewhere, and one line says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prunetransfer.runtime.caches import settle_caches


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """What the function sets is taken back."""
    for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def file(tmp_path) -> Path:
    """No folder can be made below a file, whoever asks."""
    (tmp_path / "file").touch()
    return tmp_path / "file"


def test_a_home_that_can_be_written_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert settle_caches() is None and "XDG_CACHE_HOME" not in os.environ
    assert list((tmp_path / "home/.cache").iterdir()) == []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert settle_caches() is None and os.environ["XDG_CACHE_HOME"] == str(tmp_path / "caches")


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME"])
def test_caches_go_into_the_working_folder_where_their_own_cannot_be_written(variable, monkeypatch, tmp_path, file):
    monkeypatch.setenv(variable, str(file))
    told = settle_caches()
    assert told.startswith(str(file)) and "cannot be written" in told and "XDG_CACHE_HOME names another folder" in told
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / ".snakemake/caches") in told
    assert os.environ["MPLCONFIGDIR"].startswith(os.environ["XDG_CACHE_HOME"])


def test_a_home_that_nobody_knows_makes_no_folder_called_tilde(monkeypatch, tmp_path):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert "~/.cache cannot be written" in settle_caches()
    assert not (tmp_path / "~").exists()
