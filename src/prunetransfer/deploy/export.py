"""A pruned model as a folder that needs no line of this project: weights, programs, masks, heads and a card."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from prunetransfer.deploy.card import card
from prunetransfer.deploy.hub import write_hub
from prunetransfer.deploy.programs import require_onnx, traced, write_onnx, write_torch_export
from prunetransfer.deploy.pruned import PrunedModel
from prunetransfer.deploy.sparse import write_sparse
from prunetransfer.pruning.masks import write_mask
from prunetransfer.runtime.messages import no_such
from prunetransfer.storage.artifacts import ArtifactError, write_tensors

FORMATS = ("safetensors", "torch-export", "onnx", "sparse")


def formats_for(architecture: str) -> tuple[str, ...]:
    """What is written where no format is named; `safetensors` is timm's, so only timm's own architectures have it."""
    return ("torch-export", "onnx") if ":" in architecture else ("safetensors", "onnx")


def export(folder: Path, model: PrunedModel, formats: Sequence[str] = ()) -> None:
    """Write a folder with the model in these formats (none: those of `formats_for`), masks, heads and README.md.

    Each format is read back and compared with the backbone on the model's images. The folder is written beside its
    place and moved there whole; it must be absent or empty. Raises ValueError, in one line, for a format that there is
    not or that the model cannot have, and ArtifactError where the disk does not take the folder.
    """
    formats = checked_formats(formats, model.entry["architecture"])
    check_free(folder)
    model.check()
    place = folder.resolve()
    partial = place.parent / f".{place.name}.{os.getpid()}.partial"
    try:
        partial.mkdir(parents=True)
        _write(partial, model, formats)
        os.replace(partial, place)
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be written ({error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def checked_formats(formats: Sequence[str], architecture: str) -> tuple[str, ...]:
    """The formats to write, each once. Raises ValueError for one that there is not or that cannot be written here."""
    check_known(formats)
    chosen = tuple(dict.fromkeys(formats)) or formats_for(architecture)
    if "safetensors" in chosen and ":" in architecture:
        raise ValueError(
            f"format safetensors: timm reads it, and {architecture!r} is no architecture of timm; possible are "
            "--format torch-export, onnx and sparse"
        )
    if "onnx" in chosen:
        require_onnx()
    return chosen


def check_known(formats: Sequence[str]) -> None:
    """Raise ValueError for a format that there is not."""
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"format {name!r}: {no_such('format', name, FORMATS, 'known')}")


def check_free(folder: Path) -> None:
    """Raise ValueError unless the folder is absent or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: is there already, and not an empty folder; name another one")


def _write(folder: Path, model: PrunedModel, formats: Sequence[str]) -> None:
    opset = None
    if "safetensors" in formats:
        write_hub(folder, model)
    if {"torch-export", "onnx"} & set(formats):
        program = traced(model)
        if "torch-export" in formats:
            write_torch_export(folder, model, program)
        if "onnx" in formats:
            opset = write_onnx(folder, model, program)
    if "sparse" in formats:
        write_sparse(folder, model)
    write_mask(folder / "masks.safetensors", model.mask, {})
    if model.heads:
        _write_heads(folder / "heads.safetensors", model)
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    (folder / "README.md").write_text(card(model, formats, sizes, opset), encoding="utf-8")
    mode = (folder / "README.md").stat().st_mode
    for file in folder.iterdir():
        file.chmod(mode)  # some writers make files that nobody else may read


def _write_heads(path: Path, model: PrunedModel) -> None:
    tensors = {}
    for task, head in model.heads.items():
        tensors |= {f"{task}.weight": head.weight.numpy(), f"{task}.bias": head.bias.numpy()}
    write_tensors(path, tensors, {"classes": {task: list(names) for task, names in model.classes.items()}})
