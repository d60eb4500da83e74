"""What is kept of a pre-training: the checkpoint in half precision, and the card that says how good it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prunetransfer.datasets.splits import Split
from prunetransfer.models.backbones import extract_features
from prunetransfer.training.monitor import Monitor
from prunetransfer.training.pretraining import Pretraining


def checkpoint_of(pretraining: Pretraining) -> dict[str, np.ndarray]:
    """The kept network's tensors in half precision, its classifier's under the name that the architecture has for it.

    Rounds the network itself, so that what is measured next is what is stored.
    """
    network, classifier = pretraining.kept.network, pretraining.classifier()
    tensors = _rounded(network)
    if classifier is not None:
        name = getattr(network, "pretrained_cfg", {}).get("classifier", "classifier")
        tensors |= {f"{name}.{key}": tensor for key, tensor in _rounded(classifier).items()}
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def card_of(pretraining: Pretraining, train: Split, test: Split, seed: int) -> dict[str, Any]:
    """Sizes of the data and the network, and accuracy on the test images: k-NN, ridge, its own classifier if any."""
    backbone, classifier = pretraining.kept, pretraining.classifier()
    accuracies = Monitor(train, test, seed)(backbone)
    if classifier is not None:
        outputs = classifier(extract_features(backbone, test.images))
        accuracies["own_top1"] = (outputs.argmax(1).cpu() == test.labels).float().mean().item()
    return {
        "images": {"train": len(train.labels), "test": len(test.labels), "classes": train.classes},
        "parameters": sum(weight.numel() for weight in backbone.parameters()),
        "test": accuracies,
    }


@torch.no_grad()
def _rounded(network: nn.Module) -> dict[str, Tensor]:
    halves = {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    network.load_state_dict(halves)
    return halves
