"""Readouts: what answers a backbone's features of a target's test images give. One function each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from prunetransfer.heads import Head
from prunetransfer.heads.fitting import fit_head
from prunetransfer.heads.knn import nearest_neighbours
from prunetransfer.settings.registry import readout


@dataclass(frozen=True)
class Features:
    """What a backbone makes of a split: features [n, d], labels int64 [n], both on its device."""

    values: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Reading:
    """outputs [n, classes], the largest being the answer; loss: their mean loss, None where the readout has none.

    A row that holds NaN or infinity is no answer.
    """

    outputs: Tensor
    loss: float | None


@readout(train=False)
def zero_shot(dense_head: Head, test: Features, train: Features | None) -> Reading:
    """The target's dense head, frozen: the paper's setting."""
    outputs = dense_head(test.values)
    return Reading(outputs, dense_head.loss(outputs, test.labels).mean().item())


@readout(train=True)
def linear_probe(dense_head: Head, test: Features, train: Features, *, head: Mapping[str, Any]) -> Reading:
    """A head fitted anew, on this backbone's features of the target's train images. head: settings of `fit_head`."""
    if not train.values.isfinite().all():
        return _unread(dense_head, test)
    return zero_shot(fit_head(train.values, train.labels, len(dense_head.bias), head), test, train)


@readout(train=True)
def knn(dense_head: Head, test: Features, train: Features, *, neighbours: int) -> Reading:
    """The nearest train images in this backbone's features vote."""
    if not train.values.isfinite().all():
        return _unread(dense_head, test)
    votes = nearest_neighbours(test.values, train.values, train.labels, len(dense_head.bias), neighbours)
    finite = test.values.isfinite().all(1, keepdim=True)
    return Reading(torch.where(finite, votes, torch.nan), None)


def _unread(head: Head, test: Features) -> Reading:
    """Nothing is learnt from train images whose features are not finite."""
    return Reading(torch.full((len(test.labels), len(head.bias)), torch.nan, device=test.values.device), None)
