"""Checkpoints: fetch one, verify its digest, convert it to the tensors of the headless backbone."""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from prunetransfer.artifacts import ArtifactError


def fetch(source: str, downloads: Path) -> Path:
    """The local file of a checkpoint: `package:NAME` (shipped with this package), `https://…`, or a path.

    A download goes to `downloads` and is put in place when it is whole. Raises ArtifactError if there is no such file.
    """
    if source.startswith("package:"):
        path = Path(str(importlib.resources.files("prunetransfer") / "data" / source.removeprefix("package:")))
    elif source.startswith("https://"):
        path = downloads / source.rpartition("/")[2]
        downloads.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(source, str(path), progress=False)
        except (URLError, OSError) as error:
            raise ArtifactError(f"{source}: download failed ({error})") from None
    else:
        path = Path(source)
    if not path.is_file():
        raise ArtifactError(f"{source}: there is no file {path}")
    return path


def verify(path: Path, sha256: str) -> None:
    """Raises ArtifactError, naming both digests, if the file's SHA-256 is not `sha256`."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ArtifactError(f"{path}: its SHA-256 is {found}, the config expects {sha256}")


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict of a `.safetensors` file or of anything `torch.load(weights_only=True)` reads."""
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or foreign file makes the readers raise almost anything
        raise ArtifactError(f"{path}: not a checkpoint of plain tensors ({type(error).__name__})") from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ArtifactError(f"{path}: holds more than a state dict of tensors")
    return dict(state)


def convert(state: Mapping[str, Tensor], network: nn.Module, ignore: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Load a checkpoint into `network` and return the network's tensors, floats as float32.

    Left out are the checkpoint's classifier, where timm says what it is called, and the keys that match `ignore` (shell
    patterns). Raises ArtifactError, listing missing and unexpected keys and differing shapes, unless all others match
    the network's exactly: a backbone that keeps random weights by accident would still run.
    """
    classifier = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    ignored = (*ignore, *(f"{name}.*" for name in names))
    kept = {key: value for key, value in state.items() if not any(fnmatch(key, pattern) for pattern in ignored)}
    try:
        network.load_state_dict(kept)
    except RuntimeError as error:
        raise ArtifactError(f"checkpoint and architecture differ: {error}") from None
    return {key: tensor.numpy() for key, tensor in network.float().state_dict().items()}
