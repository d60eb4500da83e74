"""Arrays of images and labels in one `.npz` file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from prunetransfer.datasets.samples import Samples, held_out

TEST_SHARE = 0.2


def load(split: str, path: str, train: int | None = None, seed: int = 0, *, data_root: Path) -> Samples:
    """`<split>_images` and `<split>_labels`, or `images` and `labels` to be split; all are read into memory.

    Images are uint8 [n, h, w] or [n, h, w, 3], labels whole numbers [n] or [n, 1]; the file's `classes` are the names,
    numbers where it has none. train: how many of the first images are for training, the others for testing; left out, a
    draw of 20% of each class, which `seed` decides, is the test split.
    Raises ValueError for a file, an array or a shape that is not of this form.
    """
    file = data_root / path
    arrays = _read(file)
    own = f"{split}_images" in arrays
    if own and train is not None:
        raise ValueError(f"{file}: has splits of its own; leave out train: {train}")
    names = [f"{split}_images", f"{split}_labels"] if own else ["images", "labels"]
    if missing := [name for name in names if name not in arrays]:
        raise ValueError(f"{file}: no array {' or '.join(missing)}; it holds {', '.join(sorted(arrays)) or 'none'}")
    images, labels = (arrays[name] for name in names)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)):
        raise ValueError(
            f"{file}: {names[0]} must be uint8 [n, h, w] or [n, h, w, 3], not {images.dtype} {images.shape}"
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise ValueError(f"{file}: {names[1]} must be {len(images)} whole numbers, not {labels.dtype} {labels.shape}")
    count = 1 + max(int(array.max(initial=0)) for name, array in arrays.items() if name.endswith("labels"))
    classes = [str(name) for name in arrays.get("classes", np.arange(count))]
    if not own:
        chosen = _test_images(file, labels, train, seed) == (split == "test")
        images, labels = images[chosen], labels[chosen]
    return Samples([Image.fromarray(image) for image in images], labels.astype(np.int64), classes)


def _test_images(file: Path, labels: np.ndarray, train: int | None, seed: int) -> np.ndarray:
    if train is None:
        return held_out(labels, TEST_SHARE, seed)
    if train >= len(labels):
        raise ValueError(f"{file}: train: {train} of {len(labels)} images leaves none to test on")
    return np.arange(len(labels)) >= train


def _read(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file") from None
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file}: not a readable .npz file of plain arrays ({error})") from None
