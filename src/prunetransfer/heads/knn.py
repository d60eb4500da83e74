"""Weighted nearest neighbours: a readout that fits nothing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TEMPERATURE = 0.07
CHUNK = 1024  # images compared with all train images at a time


def nearest_neighbours(features: Tensor, train: Tensor, labels: Tensor, classes: int, neighbours: int) -> Tensor:
    """Votes [n, classes] of the nearest train images by cosine similarity c, each weighing exp(c / 0.07).

    features [n, d]; train [m, d] with labels int64 [m], all on one device. As DINO is evaluated (Caron et al. 2021,
    after Wu et al. 2018), with 20 neighbours there. Raises ValueError for more neighbours than train images.

    >>> train, labels = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]]), torch.tensor([0, 1, 1])
    >>> nearest_neighbours(torch.tensor([[2.0, 0.1], [0.1, 2.0]]), train, labels, classes=2, neighbours=1).argmax(1)
    tensor([0, 1])
    """
    if neighbours > len(train):
        raise ValueError(f"knn: {neighbours} neighbours of {len(train)} train images")
    train = F.normalize(train, dim=1)
    votes = []
    for part in F.normalize(features, dim=1).split(CHUNK):
        similar, nearest = (part @ train.T).topk(neighbours)
        votes.append(part.new_zeros(len(part), classes).scatter_add(1, labels[nearest], (similar / TEMPERATURE).exp()))
    return torch.cat(votes)
