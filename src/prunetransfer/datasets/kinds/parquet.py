"""Encoded images and labels in Parquet files, as Hugging Face lays them out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL.Image import Image

from prunetransfer.datasets.files import decode
from prunetransfer.datasets.samples import Samples, held_out
from prunetransfer.datasets.views import Chosen

TEST_SHARE = 0.2


def load(
    split: str,
    train: str | Sequence[str],
    test: str | Sequence[str] | None = None,
    image: str = "image",
    label: str = "label",
    seed: int = 0,
    *,
    data_root: Path,
) -> Samples:
    """The rows of the files that `train` or `test` names, by paths or patterns; no `test`: `train` holds both.

    Column `image` holds encoded files, as bytes or as {bytes, path}; column `label` text, or numbers, which the
    `huggingface` entry of the schema names where it is there. Without `test` a draw of 20% of each class, which `seed`
    decides, is the test split. Images are read a row group at a time.
    Raises ValueError if there are no such files, or a file or a column is not of this form.
    """
    named = {"train": train} if test is None else {"train": train, "test": test}
    files = {key: _files(data_root, names) for key, names in named.items()}
    columns = {key: _column(found, label) for key, found in files.items()}
    classes = _names(files["train"][0], label) or _distinct(columns.values())
    values = columns.get(split, columns["train"])
    images = EncodedImages(files.get(split, files["train"]), image)
    if values.dtype.kind not in "iu":
        numbers = {name: number for number, name in enumerate(classes)}
        values = np.array([numbers[name] for name in values])
    labels = values.astype(np.int64)
    if test is None:
        chosen = np.flatnonzero(held_out(labels, TEST_SHARE, seed) == (split == "test"))
        images, labels = Chosen(images, chosen), labels[chosen]
    return Samples(images, labels, classes)


class EncodedImages(Sequence):
    """The images of one column of some files. Raises ValueError, naming the row, for one that cannot be read."""

    def __init__(self, files: Sequence[Path], column: str):
        self.column = column
        self.groups: list[tuple[Path, int]] = []
        sizes = []
        for file in files:
            metadata = _opened(file, column).metadata
            self.groups += [(file, group) for group in range(metadata.num_row_groups)]
            sizes += [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self.ends = np.cumsum(sizes, dtype=np.int64)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, index: int) -> Image:
        place = int(np.searchsorted(self.ends, index, side="right"))
        file, group = self.groups[place]
        first = int(self.ends[place - 1]) if place else 0
        row = _row_group(file, group, self.column)[index - first].as_py()
        content, path = (row.get("bytes"), row.get("path")) if isinstance(row, dict) else (row, None)
        name = f"{file}, row group {group}, row {index - first}" + (f" ({path})" if path else "")
        if not isinstance(content, bytes):
            raise ValueError(f"{name}: column {self.column} holds no encoded image")
        return decode(content, name)


# Two, as images are often read from several threads: one may be done with a group when another has begun the next.
@lru_cache(maxsize=2)
def _row_group(file: Path, group: int, column: str) -> pa.ChunkedArray:
    return pq.ParquetFile(file).read_row_group(group, columns=[column])[column]


def _files(root: Path, names: str | Sequence[str]) -> list[Path]:
    found = []
    for name in [names] if isinstance(names, str) else names:
        path = root / name
        matches = [path] if path.is_file() else sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not matches:
            raise ValueError(f"{path}: no such file, nor any that matches")
        found += matches
    return found


def _opened(file: Path, column: str) -> pq.ParquetFile:
    try:
        opened = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file}: not a readable Parquet file ({error})") from None
    if column not in opened.schema_arrow.names:
        raise ValueError(f"{file}: no column {column!r}; it has {', '.join(opened.schema_arrow.names)}")
    return opened


def _column(files: Sequence[Path], label: str) -> np.ndarray:
    values = pa.chunked_array(
        [chunk for file in files for chunk in _opened(file, label).read(columns=[label])[label].chunks]
    )
    if values.null_count or not (pa.types.is_integer(values.type) or values.type in (pa.string(), pa.large_string())):
        raise ValueError(f"{files[0]}: column {label!r} must hold whole numbers or text alone, not {values.type}")
    return values.to_numpy()


def _names(file: Path, label: str) -> list[str] | None:
    """The class names in the `huggingface` entry of the schema's metadata."""
    metadata: dict[str, Any] = json.loads((_opened(file, label).schema_arrow.metadata or {}).get(b"huggingface", b"{}"))
    return metadata.get("info", {}).get("features", {}).get(label, {}).get("names")


def _distinct(columns) -> list[str]:
    every = np.concatenate(list(columns))
    return [str(k) for k in range(every.max() + 1)] if every.dtype.kind in "iu" else sorted(set(every))
