"""How accurate is a backbone, dense and pruned at each sparsity, on a target's test images, by every readout?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from prunetransfer.datasets.splits import Split
from prunetransfer.evaluation.readouts import Features, Reading
from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone, extract_features, load_state
from prunetransfer.models.finite import not_finite
from prunetransfer.models.trial import check_pruned
from prunetransfer.pruning.apply import load_mask, pruned, restored
from prunetransfer.pruning.masks import ASKED, DESCRIBED_BY
from prunetransfer.runtime.devices import device_name, spare_memory
from prunetransfer.settings.registry import find
from prunetransfer.storage.artifacts import read_metadata

NO_ANSWER = -1  # the class of an image whose output is NaN or infinite


@dataclass(frozen=True)
class Target:
    """What backbones are measured on: a head, test images, and train images where a readout needs them.

    readouts: name of a registered one → the keys of the study that it reads, and where it is found (`plugin`), if not
    here.
    """

    head: Head
    test: Split
    readouts: Mapping[str, Mapping[str, Any]]
    train: Split | None = None

    def at_hand(self, backbone: Backbone) -> Target:
        """The target with its images where the backbone computes, if they fit there."""
        return replace(self, test=_at_hand(self.test, backbone), train=self.train and _at_hand(self.train, backbone))


# Rows of EVALUATION, one a sparsity and readout, without what the job's name says; and those of PREDICTIONS.
Rows = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def evaluate_masks(backbone: Backbone, target: Target, masks: Iterable[str | Path]) -> Rows:
    """Measure the dense backbone, then the backbone as each mask file prunes it, with every readout.

    An image whose output is NaN or infinite counts as wrong, and the log names the layer. Raises ValueError if the
    dense backbone has such images, or gets none right: there is nothing to retain. Leaves the backbone as it came.
    """
    return _evaluate(backbone, target, masks, _masked)


def evaluate_recovered(backbone: Backbone, target: Target, weights: Iterable[str | Path]) -> Rows:
    """As `evaluate_masks`, of pruned backbones that were recovered: files with all their weights."""
    return _evaluate(backbone, target, weights, _recovered)


@contextmanager
def _masked(backbone: Backbone, path: str | Path, image: Tensor) -> Iterator[None]:
    mask = load_mask(path, backbone.device)
    with pruned(backbone, mask):
        check_pruned(backbone, mask, image)
        yield


@contextmanager
def _recovered(backbone: Backbone, path: str | Path, image: Tensor) -> Iterator[None]:
    with restored(backbone):
        load_state(backbone, path)
        yield


def _evaluate(
    backbone: Backbone,
    target: Target,
    paths: Iterable[str | Path],
    changed: Callable[[Backbone, str | Path, Tensor], AbstractContextManager[None]],
) -> Rows:
    """changed: the backbone as a file of `paths` has it, for the duration of a block; given one image to try it on."""
    target = target.at_hand(backbone)
    dense = {answers["readout"]: answers for answers in _measure(backbone, target, None)}
    for name, answers in dense.items():
        if answers["correct"] == 0:
            raise ValueError(f"{name}: the dense backbone gets no test image right: retention has no meaning")
    no_mask = dict.fromkeys(ASKED)
    predictions = [no_mask | {"readout": "label", "predicted": target.test.labels.tolist()}]
    predictions += [_prediction(no_mask, answers) for answers in dense.values()]
    rows = []
    for path in paths:
        metadata = read_metadata(path)
        with changed(backbone, path, target.test.images[:1]):
            measured = list(_measure(backbone, target, path))
        for answers in measured:
            predictions.append(_prediction(metadata, answers))
            before = dense[answers["readout"]]
            rows.append(
                {key: value for key, value in answers.items() if key != "predicted"}
                | {key: metadata[key] for key in DESCRIBED_BY}
                | {"dense_top1": before["top1"], "dense_loss": before["loss"]}
                | {"retention": answers["top1"] / before["top1"]}
            )
    return rows, predictions


def _measure(backbone: Backbone, target: Target, path: str | Path | None) -> Iterator[dict[str, Any]]:
    """What each readout makes of one pass over the images of each split; path: the file that the backbone is of."""
    start = time.perf_counter()
    tested = _features(backbone, target.test)
    seconds = time.perf_counter() - start
    trained = target.train and _features(backbone, target.train)
    for split, features in ((target.test, tested), (target.train, trained)):
        if split and (complaint := not_finite(backbone, split.images, features.values)):
            if path is None:
                raise ValueError(f"the dense backbone: {complaint}")
            print(f"{path}: {complaint}; what they leave unanswered counts as wrong", flush=True)
    for name, settings in target.readouts.items():
        reading = _readout(name, **settings)(target.head, tested, trained)
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
    fits = split.images.nbytes <= spare_memory(backbone.device)
    return replace(split, images=split.images.to(backbone.device)) if fits else split


def _prediction(mask: Mapping[str, Any], answers: Mapping[str, Any]) -> dict[str, Any]:
    return {key: mask[key] for key in ASKED} | {key: answers[key] for key in ("readout", "predicted")}
