"""The classifier that a checkpoint was trained with, which a backbone drops and heads of kind `own` read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from prunetransfer.models.backbones import CLASSIFIER


@torch.no_grad()
def own_classifier(state: Mapping[str, Tensor], network: nn.Module, size: int) -> dict[str, np.ndarray]:
    """A checkpoint's linear classifier of the network's features, under the names that a weights file has for it.

    Its weight [classes, d] and bias [classes], float32, zeros where it has none. Empty unless the network names one
    layer as its classifier (`pretrained_cfg`, as timm's and torchvision's do), whose place an `nn.Identity` holds that
    puts out the features themselves, and the checkpoint has a weight of their width for it. network: the backbone's, in
    evaluation mode; size: pixels of an image's side.
    """
    name = getattr(network, "pretrained_cfg", {}).get("classifier")
    layer, weight = dict(network.named_modules()).get(name), state.get(f"{name}.weight")
    if not isinstance(layer, nn.Identity) or weight is None or not weight.is_floating_point():
        return {}
    passed: list[Tensor] = []
    handle = layer.register_forward_hook(lambda layer, inputs, output: passed.append(output))
    features = network(torch.rand(2, 3, size, size))
    handle.remove()
    bias = state.get(f"{name}.bias", weight.new_zeros(len(weight)))
    reads_features = len(passed) == 1 and passed[0].equal(features)
    if not reads_features or weight.shape != (len(bias), features.shape[1]):
        return {}
    return {CLASSIFIER + key: tensor.float().numpy() for key, tensor in (("weight", weight), ("bias", bias))}
