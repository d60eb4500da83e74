"""The classifier that a checkpoint was trained with, as the head of a dataset whose classes it knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from prunetransfer.datasets.splits import Split
from prunetransfer.heads import Head
from prunetransfer.models.backbones import CLASSIFIER
from prunetransfer.storage.artifacts import read_metadata, read_tensors


def own_classifier_of(tensors: Mapping[str, np.ndarray]) -> Head | None:
    """The classifier among a weights file's tensors, if there is one."""
    if f"{CLASSIFIER}weight" not in tensors:
        return None
    weight, bias = (torch.from_numpy(tensors[CLASSIFIER + key]) for key in ("weight", "bias"))
    return Head(weight.T.contiguous(), bias, None, "own")


def own_head(weights: str | Path, split: Split, classes: Sequence[int] | None, views: int) -> Head:
    """The head of a split's classes, from the classifier in a weights file.

    classes: the numbers of the checkpoint's classes, in the order of the dataset's; None: all, in their own order. They
    count before the views after the first `views`; further views follow by the names of their classes. Raises
    ValueError if the file holds no classifier, counts differ, or a number is none of the checkpoint's.
    """
    tensors, source = read_tensors(weights), read_metadata(weights)["settings"]["source"]
    whose = f"the checkpoint of weights.source {source}"
    classifier = own_classifier_of(tensors)
    if classifier is None:
        raise ValueError(f"head own: {whose} holds no linear classifier of its features; leave this head out")
    weight, bias = classifier.weight, classifier.bias
    names = [*split.classes_before, split.classes][views]
    numbers = range(len(bias)) if classes is None else classes
    if len(numbers) != len(names):
        what = f"{whose} has {len(bias)}" if classes is None else f"head.classes has {len(classes)} numbers"
        raise ValueError(
            f"head own: the dataset has {len(names)} classes, but {what}; head.classes takes the number of the "
            "checkpoint's class for each of the dataset's, in their order"
        )
    if max(numbers) >= len(bias):
        raise ValueError(f"head own: head.classes has {max(numbers)}, but {whose} knows classes 0 to {len(bias) - 1}")
    chosen = [numbers[names.index(name)] for name in split.classes]
    return Head(weight[:, chosen], bias[chosen], None, "own")
