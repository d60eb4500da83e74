"""Arrays of images and labels in one `.npz` file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

from prunetransfer.datasets.labels import SHOWN, Labels, numbered, of_array
from prunetransfer.datasets.samples import Samples, held_out
from prunetransfer.datasets.seen import SPLITS
from prunetransfer.settings.registry import dataset_kind
from prunetransfer.settings.types import Count, Draw, Gathered, Text, says

TEST_SHARE = 0.2
READ = ("images", "labels", "classes", *(f"{split}_{what}" for split in SPLITS for what in ("images", "labels")))


@dataset_kind(images=Gathered)
def npz(
    split: str,
    *,
    path: Annotated[Text, Field(description="The file; relative to `data_root`."), says(file="data_root")],
    train: Annotated[
        Count | None,
        Field(
            description="How many of the first images are the train split, the others the test split; left out, a "
            "seeded 80/20 split."
        ),
    ] = None,
    seed: Draw = 0,
    data_root: Path,
) -> Samples:
    """Arrays of images and labels in one `.npz` file, `images` and `labels` or those of each split (`train_images`).

    All are read into memory.
    Images are uint8 [n, h, w] or [n, h, w, 3], labels whole numbers or text [n] or [n, 1]; the file's `classes` are the
    names, numbers where it has none. Arrays of other names do not count. train: how many of the first images are for
    training, the others for testing; left out, a draw of 20% of each class, which `seed` decides, is the test split.
    Raises ValueError for a file, an array or a shape that is not of this form.
    """
    file = data_root / path
    arrays = _read(file)
    own = "train_images" in arrays or "test_images" in arrays
    if own and train is not None:
        raise ValueError(f"{file}: has splits of its own; leave out train: {train}")
    parts = {part: [f"{part}_images", f"{part}_labels"] for part in SPLITS} if own else {split: ["images", "labels"]}
    if missing := [name for names in parts.values() for name in names if name not in arrays]:
        raise ValueError(f"{file}: no array {' or '.join(missing)}; it holds {', '.join(sorted(arrays)) or 'none'}")
    names = arrays.get("classes")
    if names is not None and names.ndim != 1:
        raise ValueError(f"{file}: classes must be one name a class, not {names.dtype} {names.shape}")
    names = names if names is None or names.dtype.kind in "SU" else names.astype(str)
    labels, classes = numbered([_labels(file, arrays, *part, names) for part in parts.values()])
    images, labels = arrays[parts[split][0]], dict(zip(parts, labels, strict=True))[split]
    if not own:
        chosen = _test_images(file, labels, train, seed) == (split == "test")
        images, labels = images[chosen], labels[chosen]
    return Samples([Image.fromarray(image) for image in images], labels, classes)


def _labels(file: Path, arrays: Mapping[str, np.ndarray], images: str, labels: str, names: np.ndarray | None) -> Labels:
    """The labels of a split, whose images have the form that they must have."""
    pixels, values = arrays[images], arrays[labels]
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[3:] not in ((), (3,)):
        raise ValueError(f"{file}: {images} must be uint8 [n, h, w] or [n, h, w, 3], not {pixels.dtype} {pixels.shape}")
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.dtype.kind not in "iubSU" or values.shape != pixels.shape[:1]:
        first = ", ".join(map(repr, values.flat[:SHOWN].tolist()))
        must = f"must be {len(pixels)} whole numbers, not {values.dtype} {values.shape}, or as many names of classes"
        raise ValueError(f"{file}: {labels} {must}; it begins with {first}")
    return of_array(f"{file}: {labels}", values, names)


def _test_images(file: Path, labels: np.ndarray, train: int | None, seed: int) -> np.ndarray:
    if train is None:
        return held_out(labels, TEST_SHARE, seed)
    if train >= len(labels):
        raise ValueError(f"{file}: train: {train} of {len(labels)} images leaves none to test on")
    return np.arange(len(labels)) >= train


def _read(file: Path) -> dict[str, np.ndarray | None]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] if name in READ else None for name in arrays.files}
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file") from None
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file}: not a readable .npz file of plain arrays ({error})") from None
