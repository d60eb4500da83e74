"""A dense backbone by its name, from the checkpoint that is asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from prunetransfer.config.data_configs import KEYS, data_config
from prunetransfer.config.entries import Weights
from prunetransfer.heads import Head
from prunetransfer.heads.own import own_classifier_of
from prunetransfer.models.backbones import Backbone, load_backbone
from prunetransfer.models.loading import load_weights
from prunetransfer.storage.artifacts import write_tensors

DOWNLOADS = Path("resources/downloads")


def entry_of(
    architecture: str,
    checkpoint: str,
    options: Mapping[str, Any],
    given: Mapping[str, Any],
    exclude: Sequence[str] = (),
) -> dict:
    """An entry as of a config's `backbones`: how images are prepared is the model's own, or given.

    Raises ValueError where the model does not say something that is not given either.
    """
    own = {"interpolation": "bicubic", "crop": 1.0, "crop_mode": "center"}
    if ":" not in architecture or checkpoint.startswith("torchvision:"):
        own = data_config(architecture, checkpoint)
    entry = {key: given.get(key, own.get(key)) for key in KEYS}
    if missing := [key for key, value in entry.items() if value is None]:
        raise ValueError(f"{architecture} does not say how its images are prepared: give --{', --'.join(missing)}")
    return {"architecture": architecture, "options": dict(options), "exclude": list(exclude), **entry}


@dataclass(frozen=True)
class Dense:
    """A backbone before it is pruned, the checkpoint's own classifier, if it has one, and the checkpoint's SHA-256."""

    backbone: Backbone
    classifier: Head | None
    sha256: str | None


def load(entry: Mapping[str, Any], checkpoint: Mapping[str, Any], device: torch.device) -> Dense:
    """The dense backbone of an entry. checkpoint: keys of a config's `weights`, source at least."""
    weights = dict(Weights(**checkpoint))
    tensors, made = load_weights(entry, weights, entry["size"], DOWNLOADS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        write_tensors(path, tensors, made)
        backbone = load_backbone(entry, path, device)
    return Dense(backbone, own_classifier_of(tensors), made.get("checkpoint_sha256"))
