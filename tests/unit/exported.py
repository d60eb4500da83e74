"""Pruned backbones of the embedded study, or small ones, with heads and what their card says of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from prunetransfer.config.extending import read_study
from prunetransfer.deploy.pruned import Facts, Measured, PrunedModel
from prunetransfer.heads import Head
from prunetransfer.models.backbones import CLASSIFIER, Backbone, build_backbone, build_network
from prunetransfer.models.checkpoints import convert, read_checkpoint
from prunetransfer.models.classifier import own_classifier
from prunetransfer.models.packages import package_file
from prunetransfer.pruning.apply import mask_tensors
from prunetransfer.pruning.masks import global_mask

ROOT = Path(__file__).parents[2]
CONFIG = read_study(ROOT / "config.yaml")
NAMES = ("first", "second", "third")
FACTS = Facts(
    "a model",
    "It was pruned.",
    [Measured("digits", True, "zero_shot", 20, 0.9, 0.8, 0.889, 0.8, 0.95), Measured("few", False, "knn", 9, 0.1, 0.1)],
    guarantee="Nothing is guaranteed.",
    provenance={"revision": "abc"},
    licence="mit",
)


def images_of(size: int) -> torch.Tensor:
    return torch.randint(256, (5, size, size, 3), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


def head_of(width: int, classes: int = len(NAMES)) -> Head:
    generator = torch.Generator().manual_seed(4)
    return Head(torch.randn(width, classes, generator=generator), torch.randn(classes, generator=generator), 1.0)


def pruned(entry: Mapping[str, Any], backbone: Backbone, sparsity: float = 0.5, **more: Any) -> PrunedModel:
    scores = {name: weight.detach().abs().numpy() for name, weight in backbone.prunable().items()}
    mask = global_mask(scores, sparsity)
    backbone.prune(mask_tensors(mask, torch.device("cpu")))
    return PrunedModel(backbone, entry, mask, images_of(entry["size"]), **({"facts": FACTS} | more))


def embedded(name: str) -> tuple[dict[str, Any], Backbone, Head]:
    """A backbone of the embedded study, its entry of the config and its own classifier."""
    entry = CONFIG["backbones"][name] | {"exclude": []}
    state = read_checkpoint(package_file(entry["weights"]["source"]))
    network = build_network(entry["architecture"], entry["options"])
    convert(state, network)
    own = own_classifier(state, network.eval(), entry["size"])
    weight, bias = (torch.from_numpy(own[CLASSIFIER + key]) for key in ("weight", "bias"))
    backbone = build_backbone(entry)
    backbone.network.load_state_dict(network.state_dict())
    return entry, backbone, Head(weight.T.contiguous(), bias, None, "own")
