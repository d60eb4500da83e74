"""Files of measured rows: one a measurement, so that a benchmark that was stopped goes on where it was.

What docs rest on is gathered in one file a benchmark, below benchmarks/measured, which the project keeps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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


def gather(folder: Path, store: Path, by: Sequence[str]) -> pd.DataFrame:
    """All rows of `store` and of the files in `folder`, which are newer; `store` has them all from then on.

    by: the columns that name a measurement.
    """
    files = [*([store] if store.exists() else []), *sorted(folder.glob("*.parquet"))]
    rows = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    rows = rows.drop_duplicates(by, keep="last").sort_values(list(by), ignore_index=True)
    store.parent.mkdir(exist_ok=True)
    rows.to_parquet(store, compression="zstd", index=False)
    return rows
