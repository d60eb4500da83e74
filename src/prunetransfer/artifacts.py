"""Files that stages hand to each other: tensors (safetensors) and tables (Parquet).

Both are written to a neighbour first and moved into place, so a reader never meets half a file, and both carry their
provenance in their own metadata. NumPy only: stages that need no torch must not pay for importing it.
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

from prunetransfer import process

PROVENANCE = "prunetransfer"


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


def provenance(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What made a file: the settings that it was made with, and the facts of the job that made it.

    The job's seconds are among them, so a file that is made anew is another file, if not other content, and what
    follows it runs again. Snakemake has it so anyway where both are in one run.
    """
    return {"settings": dict(settings), **process.facts()}


def write_tensors(path: str | os.PathLike, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write arrays as one safetensors file with `metadata` (anything JSON can hold) and their order inside it."""
    arrays, header = _laid_out(tensors, metadata)
    write_atomically(path, lambda partial: save_file(arrays, partial, metadata=header))


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

    write_atomically(path, write)


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """All arrays of a safetensors file, by name, in the order they were written in (layers: forward order).

    A file of another program is read in the order that file has. Raises ArtifactError if it cannot be read.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in _header(file).get("order", file.keys())}


def read_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """The metadata `write_tensors` put into a file. Raises ArtifactError if it is not one of ours."""
    with _opened(path) as file:
        header = _header(file)
    if not header:
        raise ArtifactError(f"{path}: written by another program: it carries no prunetransfer metadata")
    return header


def _laid_out(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> tuple[dict, dict]:
    """The arrays as the library wants them, and the header's metadata."""
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    # One key: safetensors stores several in an order that changes from run to run.
    return arrays, {PROVENANCE: json.dumps({"order": list(arrays), **metadata}, sort_keys=True)}


def _header(file: safe_open) -> dict[str, Any]:
    return json.loads((file.metadata() or {}).get(PROVENANCE, "{}"))


def _opened(path: str | os.PathLike):
    try:
        return safe_open(os.fspath(path), framework="np")
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: not a readable safetensors file ({error})") from None
