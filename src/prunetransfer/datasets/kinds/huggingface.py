"""Datasets of the Hugging Face hub, through the optional package `datasets`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from PIL.Image import Image
from pydantic import Field

from prunetransfer.datasets.files import decode
from prunetransfer.datasets.labels import Labels, numbered, of_column
from prunetransfer.datasets.samples import Samples
from prunetransfer.settings.registry import dataset_kind
from prunetransfer.settings.types import END, Encoded, Part, Text, says

PART = "[A-Za-z0-9_][A-Za-z0-9._-]*"


@dataset_kind(images=Encoded, downloaded_by=("name", "subset", "revision"))
def huggingface(
    split: str,
    *,
    name: Annotated[
        str,
        Field(max_length=96, description="Its name on the hub, as in `uoft-cs/cifar10`."),
        says(pattern=f"^{PART}(/{PART})?{END}", allowed="a name of the hub, as in uoft-cs/cifar10"),
    ],
    subset: Annotated[Part, Field(description="Which of its configurations.")] = None,
    revision: Annotated[Part, Field(description="Its version: a commit or a tag of the hub.")] = None,
    train: Annotated[Text, Field(description="The hub's split to train on.")] = "train",
    test: Annotated[Text, Field(description="The hub's split to test on.")] = "test",
    image: Annotated[Text, Field(description="Column of the images.")] = "image",
    label: Annotated[Text, Field(description="Column of the labels.")] = "label",
    folder: Path,
) -> Samples:
    """A dataset of the Hugging Face hub, downloaded to `resources/datasets`; needs `prunetransfer[huggingface]`.

    Returns the rows of the hub's split `train` or `test` in `folder`; nothing is downloaded.
    subset, revision: which of the dataset's configurations and versions. Column `image` holds images, `label` classes,
    whole numbers or text; a class is the same in both splits if it has the same name.
    Raises ValueError if `datasets` is not installed or there is no such split or column.
    """
    splits = _package().load_from_disk(str(folder))
    wanted = {"train": train, "test": test}
    if missing := [part for part in wanted.values() if part not in splits]:
        raise ValueError(f"{name}: no split {missing[0]!r}; it has {', '.join(splits)}")
    for column in (image, label):
        for part in wanted.values():
            if column not in splits[part].features:
                raise ValueError(f"{name}: no column {column!r}; it has {', '.join(splits[part].features)}")
    numbers, classes = numbered([_labels(name, part, splits[part], label) for part in wanted.values()])
    rows = splits[wanted[split]].cast_column(image, _package().Image(decode=False))
    return Samples(HubImages(name, rows, image), dict(zip(wanted, numbers, strict=True))[split], classes)


def download(folder: Path, name: str, subset: str | None = None, revision: str | None = None) -> None:
    """Fetch all splits into `folder`. Raises ValueError if `datasets` is not installed or the hub does not answer."""
    try:
        splits = _package().load_dataset(name, subset, revision=revision)
    except Exception as error:  # what the hub, the network and the reader raise has no common class
        raise ValueError(f"{name}: the hub's dataset could not be fetched ({error})") from None
    splits.save_to_disk(str(folder))


def _labels(name: str, split: str, rows: Any, column: str) -> Labels:
    feature = rows.features[column]
    if not isinstance(feature, _package().ClassLabel | _package().Value):
        raise ValueError(f"{name}: column {column!r} holds {feature}, not the labels of named classes")
    values = rows.select_columns(column).with_format("arrow")[:][column]
    return of_column(f"{name}, split {split}: column {column!r}", values, getattr(feature, "names", None))


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
