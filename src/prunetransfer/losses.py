"""The losses of a head's outputs that scores, fine-tuning and evaluation share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def squared(outputs: Tensor, labels: Tensor) -> Tensor:
    """½‖f − y‖² for one-hot targets y. outputs [n, classes], labels int64 [n]; returns [n]."""
    # one_hot reads values, which vmap forbids.
    targets = labels[:, None] == torch.arange(outputs.shape[-1], device=labels.device)
    return 0.5 * (outputs - targets.to(outputs.dtype)).square().sum(-1)


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """−log softmax(f)_label, in nats. outputs [n, classes], labels int64 [n]; returns [n]."""
    return F.cross_entropy(outputs, labels, reduction="none")


LOSSES = {"squared": squared, "cross_entropy": cross_entropy}
