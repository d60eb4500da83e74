"""What a checkpoint's file holds, told from its content, whatever it is named; no code in it runs."""

from __future__ import annotations

import re
import zipfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from prunetransfer.storage.artifacts import ArtifactError

TAKEN = "taken are safetensors, and torch.save of a state dict or of a mapping that holds one"
# What stands beside the weights in published files: training options (DINO, MAE), accuracies as NumPy numbers, of
# NumPy 1 and 2. None of these runs anything that the file brings.
HARMLESS = [
    Namespace,
    np.dtype,
    np.ndarray,
    *(getattr(np.dtypes, name) for name in np.dtypes.__all__),
    *(
        (getattr(np._core.multiarray, name), f"numpy.{core}.multiarray.{name}")
        for name in ("scalar", "_reconstruct")
        for core in ("core", "_core")
    ),
]
# How files begin that are often taken for checkpoints.
BEGINNINGS = {
    b"version https://git-lfs": "a Git LFS pointer, which stands for a file that was not fetched: run `git lfs pull`",
    b"<": "a web page, as of a sign-in or an error: download the file itself",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"\x89HDF": "an HDF5 file, as Keras writes",
}


def read_file(path: Path) -> Any:
    """What `path` holds: a safetensors file's tensors, or all that `torch.load(weights_only=True)` reads.

    Raises ArtifactError, saying what it is instead, if it is anything else.
    """
    with open(path, "rb") as file:
        start = file.read(64)
    try:
        if _is_safetensors(path, start):
            return load_file(path)
        # By its path torch would go by the file's name.
        with torch.serialization.safe_globals(HARMLESS), open(path, "rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or foreign file makes the readers raise almost anything
        found = _what_it_is(path, start, error)
        raise ArtifactError(f"{path}: not a checkpoint of plain tensors: {found}; {TAKEN}") from None


def _is_safetensors(path: Path, start: bytes) -> bool:
    """Its header's length, then the header, JSON."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= path.stat().st_size


def _what_it_is(path: Path, start: bytes, error: Exception) -> str:
    for beginning, what in BEGINNINGS.items():
        if start.lstrip().startswith(beginning):
            return what
    if foreign := re.search(r"(?:Unsupported global: GLOBAL|Unsupported class) (\S+)", str(error)):
        return f"it needs the Python object {foreign[1]}, whose code is not run; save model.state_dict() instead"
    if zipfile.is_zipfile(path):
        names = zipfile.ZipFile(path).namelist()
        if any(name.endswith("/constants.pkl") for name in names):
            return "a TorchScript archive, which is code; save its state_dict() instead"
        if not any(name.endswith("data.pkl") for name in names):
            return f"a zip archive of {', '.join(names[:3])}"
    size = path.stat().st_size
    return f"damaged, cut off or of another kind ({size} bytes; {type(error).__name__})" if size else "an empty file"
