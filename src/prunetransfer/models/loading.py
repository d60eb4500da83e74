"""A checkpoint, fetched, read and tried, as the tensors that a weights file holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prunetransfer.models.backbones import build_network
from prunetransfer.models.checkpoints import as_timm_reads, convert, read_checkpoint
from prunetransfer.models.classifier import own_classifier
from prunetransfer.models.sources import fetch
from prunetransfer.models.trial import try_backbone
from prunetransfer.stages.code_digest import file_digest


def load_weights(
    backbone: Mapping[str, Any], weights: Mapping[str, Any], size: int, downloads: Path
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors of the plain network and the checkpoint's own classifier, and what a weights file says of them.

    backbone: keys architecture, options, mean, std, exclude. weights: source, sha256, entry, prefix, rename, ignore,
    missing, and the seed of random ones. size: pixels of an image's side. Raises ArtifactError for a checkpoint that
    cannot be had or read, TrialError for a network that cannot be taken.
    """
    architecture, options, source = backbone["architecture"], backbone["options"], weights["source"]
    torch.manual_seed(weights["seed"])
    network = build_network(architecture, options)
    made: dict[str, Any] = {}
    if source == "random":
        state = {}
        convert(network.state_dict(), network)
    else:
        checkpoint = fetch(source, architecture, downloads, weights["sha256"])
        state = read_checkpoint(checkpoint, weights["entry"], weights["prefix"], weights["rename"])
        if source == "timm":
            state = as_timm_reads(state, architecture, options)
        convert(state, network, weights["ignore"], weights["missing"])
        made["checkpoint_sha256"] = file_digest(checkpoint)
    tensors, made["trial"] = try_backbone(network, backbone, size)
    return tensors | own_classifier(state, network, size), made
