"""Images of one's own, one folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from prunetransfer.datasets.samples import Samples, held_out

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
TEST_SHARE = 0.2


class ImageFiles(Sequence):
    """Image files, each decoded when it is asked for. Raises ValueError for a file that is not a readable image."""

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        path = self.paths[index]
        try:
            with Image.open(path) as image:
                image.load()
                return image
        except Exception as error:  # a damaged file makes a decoder raise almost anything
            raise ValueError(f"{path}: not a readable image ({error})") from None


def load(split: str, path: str | Path, seed: int = 0) -> Samples:
    """Images at `path`/{train,test}/<class>/* (`val` stands for a missing `test`), or at `path`/<class>/*.

    In the second layout a draw of 20% of each class, which `seed` decides, is the test split. Classes and files come
    in order of name; what is hidden or has no usual image extension is passed over.
    Raises ValueError if there is no such folder, the splits differ in their classes, there are fewer than two, or one
    has no images.
    """
    root = Path(path)
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder")
    # A folder named train that holds images and no folders is a class: a photograph may well show a train.
    splits = [name for name in ("train", "test", "val") if (root / name).is_dir() and _folders(root / name)]
    if not splits:
        paths, labels, classes = _scan(root, at_least=2)
        chosen = held_out(labels, TEST_SHARE, seed) == (split == "test")
        return Samples(ImageFiles([paths[k] for k in np.flatnonzero(chosen)]), labels[chosen], classes)
    if len(splits) == 1 or splits[0] != "train":
        found = " and ".join(f"{name}/" for name in splits)
        raise ValueError(f"{root}: found only {found}; expected train/ and test/ (or val/), or one folder a class")
    folders = {"train": root / "train", "test": root / splits[1]}
    differing = set(_folders(folders["train"])) ^ set(_folders(folders["test"]))
    if differing:
        raise ValueError(
            f"{root}: train/ and {splits[1]}/ must have the same classes; in one only: {_listed(differing)}"
        )
    paths, labels, classes = _scan(folders[split], at_least=1)
    return Samples(ImageFiles(paths), labels, classes)


def _folders(root: Path) -> list[str]:
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _scan(root: Path, at_least: int) -> tuple[list[Path], np.ndarray, list[str]]:
    classes = _folders(root)
    if len(classes) < 2:
        raise ValueError(f"{root}: expected at least two folders, one a class; found {_listed(classes) or 'none'}")
    files = [_image_files(root / name) for name in classes]
    for name, found in zip(classes, files, strict=True):
        if len(found) < at_least:
            allowed = _listed(EXTENSIONS)
            raise ValueError(
                f"{root / name}: {len(found)} images, at least {at_least} needed; files may end in {allowed}"
            )
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(found) for found in files])
    return [path for found in files for path in found], labels, classes


def _image_files(folder: Path) -> list[Path]:
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.is_file() and entry.suffix.lower() in EXTENSIONS and not entry.name.startswith(".")
    )


def _listed(names) -> str:
    return ", ".join(sorted(names))
