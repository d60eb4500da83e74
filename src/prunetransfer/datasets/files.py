"""Encoded images, in files or in memory, each decoded when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image


def printable(path: str | os.PathLike) -> str:
    """A path as text that can be written anywhere: bytes that are no UTF-8 as escapes, M\\xfcnchen."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class ImageFiles(Sequence):
    """Image files. Raises ValueError, naming the file, for one that is not a readable image."""

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        return open_image(self.paths[index])


def open_image(path: str | Path) -> Image.Image:
    """The decoded image of a file. Raises ValueError, naming the file, if it is not a readable image."""
    if os.path.islink(path) and not os.path.exists(path):
        raise ValueError(f"{printable(path)}: a link that leads nowhere, to {printable(os.readlink(path))}")
    return _decoded(path, printable(path))


def decode(content: bytes, name: str) -> Image.Image:
    """The decoded image of a file's content, with `name` as its `filename`. Raises ValueError as `open_image` does."""
    image = _decoded(BytesIO(content), name)
    image.filename = name
    return image


def _decoded(file: str | Path | BytesIO, name: str) -> Image.Image:
    try:
        with Image.open(file) as image:
            image.load()
            return image
    except Exception as error:  # a damaged file makes a decoder raise almost anything
        raise ValueError(f"{name}: not a readable image ({error})") from None
