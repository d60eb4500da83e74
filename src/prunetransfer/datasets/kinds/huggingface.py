"""Datasets of the Hugging Face hub, through the optional package `datasets`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from prunetransfer.datasets.files import decode
from prunetransfer.datasets.samples import Samples


def load(
    split: str,
    name: str,
    subset: str | None = None,
    revision: str | None = None,
    train: str = "train",
    test: str = "test",
    image: str = "image",
    label: str = "label",
    *,
    folder: Path,
) -> Samples:
    """The rows of the hub's split `train` or `test` in `folder`; nothing is downloaded.

    subset, revision: which of the dataset's configurations and versions. Column `image` holds images, `label` numbers
    that the dataset names.
    Raises ValueError if `datasets` is not installed or there is no such split or column.
    """
    splits = _package().load_from_disk(str(folder))
    wanted = {"train": train, "test": test}[split]
    if wanted not in splits:
        raise ValueError(f"{name}: no split {wanted!r}; it has {', '.join(splits)}")
    rows = splits[wanted]
    for column in (image, label):
        if column not in rows.features:
            raise ValueError(f"{name}: no column {column!r}; it has {', '.join(rows.features)}")
    if not hasattr(rows.features[label], "names"):
        raise ValueError(f"{name}: column {label!r} holds {rows.features[label]}, not the labels of named classes")
    images = HubImages(name, rows.cast_column(image, _package().Image(decode=False)), image)
    return Samples(images, np.asarray(rows[label], dtype=np.int64), list(rows.features[label].names))


def download(folder: Path, name: str, subset: str | None = None, revision: str | None = None) -> None:
    """Fetch all splits into `folder`. Raises ValueError if `datasets` is not installed or the hub does not answer."""
    try:
        splits = _package().load_dataset(name, subset, revision=revision)
    except Exception as error:  # what the hub, the network and the reader raise has no common class
        raise ValueError(f"{name}: the hub's dataset could not be fetched ({error})") from None
    splits.save_to_disk(str(folder))


class HubImages(Sequence):
    """The images of one column, memory-mapped. Raises ValueError, naming the row, for one that cannot be read."""

    def __init__(self, name: str, rows: Any, column: str):
        self.name, self.rows, self.column = name, rows, column

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Image:
        cell = self.rows[index][self.column]
        return decode(cell["bytes"], f"{self.name}, row {index} ({cell['path']})")


def _package() -> Any:
    try:
        import datasets
    except ImportError:
        raise ValueError(
            "datasets of the Hugging Face hub need the package datasets: pip install 'prunetransfer[huggingface]'"
        ) from None
    return datasets
