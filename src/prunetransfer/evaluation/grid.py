"""Readouts: how accurate is a backbone, dense or pruned, on a target's test images?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prunetransfer.datasets.splits import Split
from prunetransfer.heads import Head
from prunetransfer.heads.fitting import fit_head
from prunetransfer.heads.knn import nearest_neighbours
from prunetransfer.models.backbones import Backbone, extract_features, load_mask, load_state
from prunetransfer.models.finite import not_finite
from prunetransfer.models.trial import check_pruned
from prunetransfer.runtime.devices import device_name, spare_memory
from prunetransfer.settings.registry import find, readout
from prunetransfer.storage.artifacts import read_metadata

NO_ANSWER = -1  # the class of an image whose output is NaN or infinite


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


def evaluate_grid(
    backbone: Backbone,
    head: Head,
    test: Split,
    pruned: Iterable[str | Path],
    recovered: bool,
    readouts: Mapping[str, Mapping[str, Any]],
    train: Split | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Measure the dense backbone, then each file of `pruned` in its place, with every readout.

    pruned: mask files, or weight files where the masks were `recovered`. readouts: name of a registered one → its
    settings, and where it is found (`plugin`), if not here. train: the target's train images, where a readout needs
    them. Returns rows of EVALUATION without what the job's name says, one a sparsity and readout, and those of
    PREDICTIONS. An image whose output is NaN or infinite counts as wrong, and the log names the layer. Raises
    ValueError if the dense backbone has such images, or gets none right: there is nothing to retain. Leaves the
    backbone as it came.
    """
    test = _at_hand(test, backbone)
    train = train and _at_hand(train, backbone)
    dense = {found["readout"]: found for found in _measure(backbone, head, test, train, readouts, None)}
    for name, found in dense.items():
        if found["correct"] == 0:
            raise ValueError(f"{name}: the dense backbone gets no test image right: retention has no meaning")
    predictions = [{"sparsity": None, "readout": "label", "predicted": test.labels.tolist()}]
    predictions += [_prediction(None, found) for found in dense.values()]
    state = {name: tensor.clone() for name, tensor in backbone.network.state_dict().items()}
    rows = []
    for path in pruned:
        if recovered:
            load_state(backbone, path)
        else:
            backbone.network.load_state_dict(state)
            mask = load_mask(path, backbone.device)
            backbone.prune(mask)
            check_pruned(backbone, mask, test.images[:1])
        metadata = read_metadata(path)
        for found in _measure(backbone, head, test, train, readouts, path):
            predictions.append(_prediction(metadata["sparsity"], found))
            before = dense[found["readout"]]
            rows.append(
                {key: value for key, value in found.items() if key != "predicted"}
                | {key: metadata[key] for key in ("sparsity", "achieved_sparsity")}
                | {"dense_top1": before["top1"], "dense_loss": before["loss"]}
                | {"retention": found["top1"] / before["top1"]}
            )
    backbone.network.load_state_dict(state)
    return rows, predictions


def _measure(
    backbone: Backbone,
    head: Head,
    test: Split,
    train: Split | None,
    readouts: Mapping[str, Mapping[str, Any]],
    pruned: str | Path | None,
) -> Iterable[dict[str, Any]]:
    """What each readout makes of one pass over the images of each split; pruned: the file that the backbone is of."""
    start = time.perf_counter()
    tested = _features(backbone, test)
    seconds = time.perf_counter() - start
    trained = train and _features(backbone, train)
    for split, features in ((test, tested), (train, trained)):
        if split and (complaint := not_finite(backbone, split.images, features.values)):
            if pruned is None:
                raise ValueError(f"the dense backbone: {complaint}")
            print(f"{pruned}: {complaint}; what they leave unanswered counts as wrong", flush=True)
    for name, settings in readouts.items():
        reading = _readout(name, **settings)(head, tested, trained)
        answered = reading.outputs.isfinite().all(1)
        predicted = reading.outputs.argmax(1).where(answered, NO_ANSWER)
        correct = int((predicted == tested.labels).sum())
        yield {
            "readout": name,
            "n": len(predicted),
            "correct": correct,
            "top1": correct / len(predicted),
            "loss": reading.loss if answered.all() else None,
            "predicted": predicted.tolist(),
            "images_per_second": len(predicted) / seconds,
            "device": device_name(backbone.device),
        }


def _readout(name: str, plugin: Mapping[str, str] | None = None, **settings: Any) -> Callable[..., Reading]:
    return partial(find("readouts", name, plugin).function, **settings)


def _features(backbone: Backbone, split: Split) -> Features:
    values = extract_features(backbone, split.images)
    return Features(values, split.labels.to(values.device))


def _at_hand(split: Split, backbone: Backbone) -> Split:
    """The split with its images where the backbone computes, if they fit there."""
    fits = split.images.nbytes <= spare_memory(backbone.device)
    return replace(split, images=split.images.to(backbone.device)) if fits else split


def _prediction(sparsity: float | None, found: Mapping[str, Any]) -> dict[str, Any]:
    return {"sparsity": sparsity, "readout": found["readout"], "predicted": found["predicted"]}
