"""Images of one's own, one folder a class."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from prunetransfer.datasets.files import ImageFiles, printable
from prunetransfer.datasets.samples import Samples, held_out
from prunetransfer.settings.registry import dataset_kind
from prunetransfer.settings.types import Draw, Encoded, Part, Text, says

EXTENSIONS = (
    *(".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".avif", ".bmp", ".gif", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)
LEFT_BY_SYSTEMS = ("__MACOSX", "@eaDir")
TEST_SHARE = 0.2
TAKEN = (
    "taken are images in train/<class>/ and test/<class>/ (or val/<class>/), or in <class>/; `path` may lead further "
    "down, and `train` and `test` name the folders of the splits"
)

PassedOver = defaultdict[str, list[Path]]  # why → the files and folders


@dataset_kind(images=Encoded)
def folder(
    split: str,
    *,
    path: Annotated[
        Text,
        Field(
            description="Folder with `train/<class>/` and `test/<class>/` (or `val/`), or with `<class>/` alone; "
            "relative to `data_root`."
        ),
        says(folder="data_root"),
    ],
    train: Annotated[Part, Field(description="Folder of the train split in `path`, where it is not `train`.")] = None,
    test: Annotated[
        Part, Field(description="Folder of the test split in `path`, where it is not `test` or `val`.")
    ] = None,
    seed: Draw = 0,
    data_root: Path,
) -> Samples:
    """Images of one's own, one folder a class.

    They lie at `path`/{train,test}/<class>/* (`val` stands for a missing `test`), or at `path`/<class>/*.
    train, test: the folders of the splits, where they have other names. In the second layout a draw of 20% of each
    class, which `seed` decides, is the test split. Classes are those of either split, alike if composed and decomposed
    accents are all that differs; they and the files come in order of name. `Samples.passed_over` has the rest of what
    is there: what is hidden, has no usual image extension or lies elsewhere. A link that leads nowhere is an image that
    cannot be read.
    Raises ValueError if there is no such folder, one split without the other, or a class is a link that leads nowhere.
    """
    root = data_root / path
    over: PassedOver = defaultdict(list)
    named = {"train": root / (train or "train"), "test": root / (test or "test")}
    folders = named if train or test else _usual_folders(root, over)
    if folders is None:
        found = _class_folders(root, over)
        classes = sorted(found)
    else:
        found = _class_folders(folders[split], over)
        other = _class_folders(folders["train" if split == "test" else "test"], defaultdict(list))
        classes = sorted(found.keys() | other.keys())
    files = [_images(found[name], over) if name in found else [] for name in classes]
    paths = [path for of_class in files for path in of_class]
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(of_class) for of_class in files])
    if folders is None:
        chosen = np.flatnonzero(held_out(labels, TEST_SHARE, seed) == (split == "test"))
        paths, labels = [paths[k] for k in chosen], labels[chosen]
    names = {why: [printable(os.path.relpath(path, root)) for path in places] for why, places in over.items() if places}
    return Samples(ImageFiles(paths), labels, classes, names)


def _usual_folders(root: Path, over: PassedOver) -> dict[str, Path] | None:
    """The folder of each split; None where there are only classes."""
    # A folder named train that holds images and no folders is a class: a photograph may well show a train.
    there = [name for name in ("train", "test", "val") if (root / name).is_dir()]
    found = [name for name in there if _class_folders(root / name, defaultdict(list))]
    if not found:
        return None
    if len(found) == 1 or found[0] != "train":
        flat = [f"; {name}/ holds no folder a class" for name in there if name not in found]
        found_only = " and ".join(f"{name}/" for name in found)
        expected = "expected train/ and test/ (or val/), or one folder a class"
        raise ValueError(f"{root}: found only {found_only}; {expected}{''.join(flat)}; {TAKEN}")
    for entry in _entries(root, over):
        if entry.name not in found[:2]:
            over["in neither split"] += _files_in(entry)
    return {"train": root / "train", "test": root / found[1]}


def _class_folders(folder: Path, over: PassedOver) -> dict[str, Path]:
    """The folders of the classes, by their names, in which accents are composed."""
    classes: dict[str, Path] = {}
    for entry in _entries(folder, over):
        path = folder / entry.name
        name = unicodedata.normalize("NFC", printable(entry.name))
        if entry.is_dir():
            if name in classes:
                raise ValueError(f"{folder}: class {name} is there twice, with composed and with decomposed accents")
            classes[name] = path
        elif not entry.is_file() and not _is_image(entry):
            raise ValueError(f"{path}: a link that leads nowhere, where there should be the folder of a class")
        else:
            over["beside the folders of the classes"].append(path)
    return classes


def _images(folder: Path, over: PassedOver) -> list[Path]:
    images = []
    for entry in _entries(folder, over):
        if entry.is_dir():
            over["deeper than the folder of a class"] += _files_in(entry)
        elif _is_image(entry):
            images.append(folder / entry.name)
        else:
            over["without an image's extension"].append(folder / entry.name)
    return images


def _entries(folder: Path, over: PassedOver) -> list[os.DirEntry]:
    """What is in a folder, in order of name, but for what is hidden."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    over["hidden"] += [folder / entry.name for entry in entries if _is_hidden(entry)]
    return [entry for entry in entries if not _is_hidden(entry)]


def _files_in(entry: os.DirEntry) -> list[Path]:
    """The file, or every file in the folder, however deep."""
    if not entry.is_dir():
        return [Path(entry.path)]
    return sorted(Path(place, name) for place, _, names in os.walk(entry.path) for name in names)


def _is_hidden(entry: os.DirEntry) -> bool:
    return entry.name.startswith(".") or entry.name in LEFT_BY_SYSTEMS


def _is_image(entry: os.DirEntry) -> bool:
    return entry.name.lower().endswith(EXTENSIONS)
