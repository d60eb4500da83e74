"""Files that stages hand to each other: tensors (safetensors) and tables (Parquet).

Both are written to a neighbour first and moved into place, so a reader never meets half a file, and both carry their
provenance and a checksum in their own metadata, so a reader never uses a damaged one. NumPy only: stages that need no
torch must not pay for importing it.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import platform
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save, save_file

from prunetransfer import __version__

PROVENANCE = "prunetransfer"
# As it stands in Parquet's metadata, and escaped inside the JSON of a safetensors header.
SEAL = re.compile(rb'"crc32\\?": \\?"([0-9a-f]{8})')
BLOCK = 2**22


class ArtifactError(ValueError):
    """A file is missing, damaged or not what the stage expects; the message names it."""


def write_atomically(path: str | os.PathLike, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary neighbour of `path`, then move it into place; on failure leave nothing behind."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.touch()
    mode = partial.stat().st_mode
    try:
        write(partial)
        # Some writers make files that nobody else may read; a study is often shared.
        partial.chmod(mode)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_sealed(path: str | os.PathLike, write: Callable[[Path], None]) -> None:
    """As `write_atomically`, for a file that `check` accepts: what `write` writes must hold `sealable` metadata."""

    def write_and_seal(partial: Path) -> None:
        write(partial)
        with open(partial, "r+b") as file:
            place = _place_of_seal(file)
            seal = b"%08x" % _checksum(file, place)
            file.seek(place)
            file.write(seal)

    write_atomically(path, write_and_seal)


def sealable(metadata: Mapping[str, Any]) -> str:
    """Metadata (anything JSON can hold) as text, with a place for the checksum of the file that they go into."""
    return json.dumps({"crc32": "0" * 8, **metadata}, sort_keys=True)


def unsealed(text: str | bytes) -> dict[str, Any]:
    """The metadata that `sealable` made a text of."""
    metadata = json.loads(text)
    del metadata["crc32"]
    return metadata


def check(path: str | os.PathLike) -> None:
    """Raise ArtifactError unless a file is, bit for bit, what `write_sealed` wrote. Reads it all (1.6 GB a second)."""
    try:
        with open(path, "rb") as file:
            place = _place_of_seal(file)
            checksum = _checksum(file, place)
            file.seek(place)
            sound = file.read(8) == b"%08x" % checksum
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:
        sound = False
    if not sound:
        raise ArtifactError(f"{path}: damaged, or written by another program; delete it and run again")


def provenance(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What made a file: the settings it was made with and the versions that made it."""
    return {"settings": dict(settings), "version": __version__, "python": platform.python_version()}


def write_tensors(path: str | os.PathLike, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write arrays as one safetensors file with `metadata` (anything JSON can hold) and their order inside it."""
    arrays, header = _laid_out(tensors, metadata)
    write_sealed(path, lambda partial: save_file(arrays, partial, metadata=header))


def write_stream(
    path: str | os.PathLike,
    tensors: Mapping[str, np.ndarray],
    name: str,
    shape: tuple[int, ...],
    chunks: Iterable[np.ndarray],
    metadata: Mapping[str, Any],
) -> None:
    """As `write_tensors`, with one more tensor, `name`, of uint8 and `shape`, that need not fit into memory.

    chunks: its rows in order, uint8 [k, *shape[1:]], each written as it comes. Raises ValueError if they do not add up
    to `shape`.
    """
    arrays, header = _laid_out({**tensors, name: np.empty(0, np.uint8)}, metadata)
    del arrays[name]
    # The format: the header's length (8 bytes), the header (JSON), the data; the stream joins what the library wrote.
    small = save(arrays, metadata=header)
    start = 8 + int.from_bytes(small[:8], "little")
    entries, data = json.loads(small[8:start]), small[start:]
    end = len(data) + math.prod(shape)
    entries[name] = {"dtype": "U8", "shape": shape, "data_offsets": [len(data), end]}
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)

    def write(partial: Path) -> None:
        with open(partial, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text + data)
            for chunk in chunks:
                file.write(np.ascontiguousarray(chunk, dtype=np.uint8))
            if file.tell() != 8 + len(text) + end:
                raise ValueError(f"{path}: the chunks of {name} are not {' × '.join(map(str, shape))} bytes")

    write_sealed(path, write)


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """All arrays that `write_tensors` put into a file, by name, in their order (layers: forward order).

    Raises ArtifactError if the file is missing, damaged or not one of ours.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in _metadata(file)["order"]}


def read_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """The metadata that `write_tensors` put into a file. Raises ArtifactError as `read_tensors` does."""
    with _opened(path) as file:
        return _metadata(file)


def _laid_out(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> tuple[dict, dict]:
    """The arrays as the library wants them, and the header's metadata."""
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    # One key: safetensors stores several in an order that changes from run to run.
    return arrays, {PROVENANCE: sealable({"order": list(arrays), **metadata})}


def _metadata(file: safe_open) -> dict[str, Any]:
    return unsealed(file.metadata()[PROVENANCE])


def _opened(path: str | os.PathLike):
    check(path)
    try:
        return safe_open(os.fspath(path), framework="np")
    except SafetensorError as error:
        raise ArtifactError(f"{path}: not a safetensors file ({error})") from None


def _place_of_seal(file: BinaryIO) -> int:
    """Where in the file its checksum stands. Raises ValueError if it has none."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        seal = SEAL.search(content)
        if seal is None:
            raise ValueError("no checksum")
        return seal.start(1)


def _checksum(file: BinaryIO, place: int) -> int:
    """CRC-32 of a file without the eight digits at `place`."""
    file.seek(0)
    found = zlib.crc32(file.read(place))
    file.seek(place + 8)
    while block := file.read(BLOCK):
        found = zlib.crc32(block, found)
    return found
