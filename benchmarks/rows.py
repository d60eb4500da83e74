"""Files of measured rows: one a measurement, so that a benchmark that was stopped goes on where it was."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd


def file_of(folder: Path, *names: object) -> Path:
    """Where the rows of a measurement lie, by the names of what was measured, the last of which may be any text."""
    *first, label = map(str, names)
    return folder / f"{'-'.join([*first, re.sub('[^a-z0-9.]+', '-', label)])}.parquet"


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the file whole or not at all, and say so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(list(rows)).to_parquet(path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)
    print(*path.parts[-2:], flush=True)
