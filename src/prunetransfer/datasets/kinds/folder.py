"""Images of one's own, one folder a class."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from prunetransfer.datasets.files import ImageFiles
from prunetransfer.datasets.samples import Samples, held_out

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
TEST_SHARE = 0.2


def load(
    split: str, path: str, train: str | None = None, test: str | None = None, seed: int = 0, *, data_root: Path
) -> Samples:
    """Images at `path`/{train,test}/<class>/* (`val` stands for a missing `test`), or at `path`/<class>/*.

    train, test: the folders of the splits, where they have other names. In the second layout a draw of 20% of each
    class, which `seed` decides, is the test split. Classes are those of either split; they and the files come in order
    of name; what is hidden or has no usual image extension is passed over.
    Raises ValueError if there is no such folder, or one split without the other.
    """
    root = data_root / path
    named = {"train": root / (train or "train"), "test": root / (test or "test")}
    folders = named if train or test else _usual_folders(root)
    if folders is None:
        classes = _folders(root)
        paths, labels = _scan(root, classes)
        chosen = np.flatnonzero(held_out(labels, TEST_SHARE, seed) == (split == "test"))
        return Samples(ImageFiles([paths[k] for k in chosen]), labels[chosen], classes)
    classes = sorted({name for folder in folders.values() for name in _folders(folder)})
    paths, labels = _scan(folders[split], classes)
    return Samples(ImageFiles(paths), labels, classes)


def _usual_folders(root: Path) -> dict[str, Path] | None:
    """The folder of each split; None where there are only classes."""
    # A folder named train that holds images and no folders is a class: a photograph may well show a train.
    found = [name for name in ("train", "test", "val") if (root / name).is_dir() and _folders(root / name)]
    if not found:
        return None
    if len(found) == 1 or found[0] != "train":
        there = " and ".join(f"{name}/" for name in found)
        raise ValueError(f"{root}: found only {there}; expected train/ and test/ (or val/), or one folder a class")
    return {"train": root / "train", "test": root / found[1]}


def _folders(root: Path) -> list[str]:
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder")
    return sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))


def _scan(root: Path, classes: list[str]) -> tuple[list[Path], np.ndarray]:
    """The image files of these classes, class by class, and their labels."""
    files = [_image_files(root / name) for name in classes]
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(found) for found in files])
    return [path for found in files for path in found], labels


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    names = [entry.name for entry in os.scandir(folder) if entry.is_file() and not entry.name.startswith(".")]
    return [folder / name for name in sorted(names) if name.lower().endswith(EXTENSIONS)]
