"""Readouts: how accurate is a backbone, dense or pruned, on a target's test images?"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunetransfer.artifacts import read_metadata
from prunetransfer.backbones import Backbone, extract_features, load_mask, load_state
from prunetransfer.datasets.splits import Split
from prunetransfer.devices import device_name
from prunetransfer.heads import Head
from prunetransfer.losses import squared


@dataclass(frozen=True)
class Measurement:
    """n images, how many the readout got right, their mean squared loss ½‖f − y‖², images a second."""

    n: int
    correct: int
    loss: float
    images_per_second: float

    @property
    def top1(self) -> float:
        return self.correct / self.n


def zero_shot(backbone: Backbone, head: Head, test: Split) -> Measurement:
    """The target's dense head, frozen, on the backbone's features: the paper's setting."""
    start = time.perf_counter()
    outputs = head(extract_features(backbone, test.images))
    labels = test.labels.to(outputs.device)
    correct = int((outputs.argmax(1) == labels).sum())
    loss = squared(outputs, labels).mean().item()
    return Measurement(len(labels), correct, loss, len(labels) / (time.perf_counter() - start))


def evaluate_grid(
    backbone: Backbone, head: Head, test: Split, pruned: Iterable[str | Path], recovered: bool
) -> list[dict[str, Any]]:
    """Measure the dense backbone, then each file of `pruned` in its place: one row a sparsity.

    pruned: mask files, or weight files where the masks were `recovered`. Raises ValueError if the dense backbone gets
    no image right: there is nothing to retain.
    """
    dense = zero_shot(backbone, head, test)
    if dense.correct == 0:
        raise ValueError("the dense backbone gets no test image right: retention has no meaning")
    state = {name: tensor.clone() for name, tensor in backbone.network.state_dict().items()}
    rows = []
    for path in pruned:
        if recovered:
            load_state(backbone, path)
        else:
            backbone.network.load_state_dict(state)
            backbone.prune(load_mask(path, backbone.device))
        measured, metadata = zero_shot(backbone, head, test), read_metadata(path)
        rows.append(
            {
                "sparsity": metadata["sparsity"],
                "achieved_sparsity": metadata["achieved_sparsity"],
                "readout": "zero_shot",
                "n": measured.n,
                "correct": measured.correct,
                "top1": measured.top1,
                "loss": measured.loss,
                "dense_top1": dense.top1,
                "retention": measured.top1 / dense.top1,
                "images_per_second": measured.images_per_second,
                "device": device_name(backbone.device),
            }
        )
    return rows
