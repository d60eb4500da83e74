"""Encoded images and labels in Parquet files, as Hugging Face lays them out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL.Image import Image
from pydantic import Field

from prunetransfer.datasets.drawing import Chosen
from prunetransfer.datasets.files import decode
from prunetransfer.datasets.labels import Labels, numbered, of_column
from prunetransfer.datasets.samples import Samples, held_out
from prunetransfer.settings.registry import dataset_kind
from prunetransfer.settings.types import Draw, Encoded, Files, Text

TEST_SHARE = 0.2


@dataset_kind(images=Encoded)
def parquet(
    split: str,
    *,
    train: Annotated[
        Files,
        Field(
            description="The files of the train split, or of both where `test` is left out; paths or patterns, "
            "relative to `data_root`."
        ),
    ],
    test: Annotated[
        Files | None, Field(description="The files of the test split; left out, a seeded fifth of each class.")
    ] = None,
    image: Annotated[Text, Field(description="Column of the images, bytes or a struct `{bytes, path}`.")] = "image",
    label: Annotated[Text, Field(description="Column of the labels, numbers or text.")] = "label",
    seed: Draw = 0,
    data_root: Path,
) -> Samples:
    """Encoded images and labels in Parquet files, as Hugging Face lays them out.

    The rows of the files that `train` or `test` names, by paths or patterns; no `test`: `train` holds both.
    Column `image` holds encoded files, as bytes or as {bytes, path}; column `label` text, or numbers, which the
    `huggingface` entry of each file's schema names where it is there (`labels.numbered`). Without `test` a draw of 20%
    of each class, which `seed` decides, is the test split. Images are read a row group at a time.
    Raises ValueError if there are no such files, or a file or a column is not of this form.
    """
    named = {"train": train} if test is None else {"train": train, "test": test}
    files = {key: _files(data_root, names) for key, names in named.items()}
    of_files, classes = numbered([_labels(file, label) for found in files.values() for file in found])
    own = "test" if split == "test" and test is not None else "train"
    images = EncodedImages(files[own], image)
    labels = np.concatenate(of_files[: len(files["train"])] if own == "train" else of_files[len(files["train"]) :])
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
    columns = opened.schema_arrow.names
    if columns.count(column) != 1:
        count = "two columns" if column in columns else "no column"
        raise ValueError(f"{file}: {count} {column!r}; it has {', '.join(columns)}")
    return opened


def _labels(file: Path, column: str) -> Labels:
    """The labels of a file, named by the `huggingface` entry of the schema's metadata where there is one."""
    opened = _opened(file, column)
    metadata = (opened.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
    try:
        names = json.loads(metadata).get("info", {}).get("features", {}).get(column, {}).get("names")
    except (ValueError, AttributeError):
        raise ValueError(f"{file}: in its metadata, the entry huggingface names no features") from None
    return of_column(f"{file}: column {column!r}", opened.read(columns=[column])[column], names)
