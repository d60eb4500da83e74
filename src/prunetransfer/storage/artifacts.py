"""Files that stages hand to each other: tensors (safetensors) and tables (Parquet).

Both are written to a neighbour first and moved into place, so a reader never meets half a file, and both carry their
provenance and a checksum in their own metadata, so a reader never uses a damaged one. NumPy only: stages that need no
torch must not pay for importing it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save, save_file

from prunetransfer.storage import provenance
from prunetransfer.storage.sealing import is_sound, seal, sealable, unsealed

PROVENANCE = "prunetransfer"
DAMAGED = "damaged, or written by another program; delete it and run again"


class ArtifactError(ValueError):
    """A file is missing, damaged or not what the stage expects; the message names it."""


def write_atomically(path: str | os.PathLike, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary neighbour of `path`, then move it into place; on failure leave nothing behind.

    Raises ArtifactError, naming the file, where the folder or the disk does not take it.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        mode = partial.stat().st_mode
        write(partial)
        # Some writers make files that nobody else may read; a study is often shared.
        partial.chmod(mode)
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: cannot be written ({error})") from error
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write text as UTF-8, as `write_atomically` writes."""
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_sealed(path: str | os.PathLike, write: Callable[[Path], None]) -> None:
    """As `write_atomically`, for a file that `check` accepts: what `write` writes must hold metadata of `carried`.

    Removes what jobs that were killed while they wrote this file have left.
    """
    path = Path(path)
    for left in path.parent.glob(f".{path.name}.*.partial"):
        left.unlink(missing_ok=True)

    def write_and_seal(partial: Path) -> None:
        write(partial)
        seal(partial)

    write_atomically(path, write_and_seal)


def carried(metadata: Mapping[str, Any]) -> dict[str, str]:
    """What a file carries beside its data: the facts of the stage that makes it, `metadata`, a place for checksums.

    The stage's seconds are among them, so a file that is made anew is another file, if not other content, and what
    follows it runs again. Snakemake has it so anyway where both are in one run.
    """
    # One key: safetensors stores several in an order that changes from run to run.
    return {PROVENANCE: sealable({**provenance.facts(), **metadata})}


def check(path: str | os.PathLike, data: bool = True) -> None:
    """Raise ArtifactError unless a file is, bit for bit, what `write_sealed` wrote.

    Reads it all, 1.6 GB a second; without `data` only the header of a safetensors file.
    """
    try:
        with open(path, "rb") as file:
            sound = is_sound(file, data)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from None
    if not sound:
        raise ArtifactError(f"{path}: {DAMAGED}")


def write_tensors(path: str | os.PathLike, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write arrays as one safetensors file with `metadata` (anything JSON can hold) and their order inside it.

    Raises ArtifactError, naming file and array, for a number that is not finite.
    """
    _refuse_not_finite(path, tensors)
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

    Raises ArtifactError if the file is missing, damaged or not one of ours, or holds a number that is not finite.
    """
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in _metadata(file)["order"]}
    _refuse_not_finite(path, tensors)
    return tensors


def read_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """The metadata that `write_tensors` put into a file. Raises ArtifactError as `read_tensors`, data not looked at."""
    with _opened(path, data=False) as file:
        return _metadata(file)


def _refuse_not_finite(path: str | os.PathLike, tensors: Mapping[str, np.ndarray]) -> None:
    for name, array in tensors.items():
        if wrong := np.size(array) - np.count_nonzero(np.isfinite(array)):
            raise ArtifactError(f"{path}: {name}: {wrong} of {np.size(array)} numbers are NaN or infinite")


def _laid_out(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> tuple[dict, dict]:
    """The arrays as the library wants them, and the header's metadata."""
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    return arrays, carried({"order": list(arrays), **metadata})


def _metadata(file: safe_open) -> dict[str, Any]:
    return unsealed(file.metadata()[PROVENANCE])


def _opened(path: str | os.PathLike, data: bool = True):
    check(path, data)
    try:
        return safe_open(os.fspath(path), framework="np")
    except SafetensorError as error:
        raise ArtifactError(f"{path}: {DAMAGED} ({error})") from None
