"""The losses of a head's outputs that scores, fine-tuning and evaluation share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def squared(outputs: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """½‖f − y‖² for one-hot targets y. outputs [n, classes], labels int64 [n]; returns [n].

    smoothing: share of each target that is spread over all classes.

    >>> squared(torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([0, 1]))
    tensor([0.2500, 0.0000])
    """
    # one_hot reads values, which vmap forbids.
    targets = (labels[:, None] == torch.arange(outputs.shape[-1], device=labels.device)).to(outputs.dtype)
    if smoothing:
        targets = (1 - smoothing) * targets + smoothing / outputs.shape[-1]
    return 0.5 * (outputs - targets).square().sum(-1)


def cross_entropy(outputs: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """−Σ_k y_k log softmax(f)_k, in nats; arguments as those of `squared`.

    >>> cross_entropy(torch.zeros(1, 2), torch.tensor([0]))
    tensor([0.6931])
    """
    return F.cross_entropy(outputs, labels, reduction="none", label_smoothing=smoothing)


LOSSES = {"squared": squared, "cross_entropy": cross_entropy}
