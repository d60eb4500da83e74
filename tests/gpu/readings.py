"""Stages that read a backbone: its features, heads and k-NN on them, and the evaluation."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from gpu.cases import IMAGES, SPARSITY, Case, Tensors, stage
from unit.networks import CLASSES, weights_of

from prunetransfer.evaluation.grid import Target, evaluate_masks, evaluate_recovered
from prunetransfer.heads.fitting import fit_head
from prunetransfer.heads.knn import nearest_neighbours
from prunetransfer.models.backbones import extract_features
from prunetransfer.pruning.masks import global_mask, write_mask
from prunetransfer.storage.artifacts import write_tensors


@stage("features", 1e-5)
def features(case: Case) -> Tensors:
    return {"features": extract_features(case.dense(), case.images().images)}


HEADS = {"ridge": 1e-4, "logistic": 1e-2}  # L-BFGS stops at 1e-7 nats, which leaves the weights looser


def register_head(kind: str, alpha: float | str, tolerance: float) -> None:
    @stage(f"head {kind}, alpha {alpha}", tolerance, kinds=("conv",))
    def head(case: Case) -> Tensors:
        fitted = fit_head(*case.features(), CLASSES, {"kind": kind, "alpha": alpha})
        tried = torch.tensor([fitted.alpha, *fitted.tried.values()], device=fitted.weight.device)
        return {"weight": fitted.weight, "bias": fitted.bias, "alpha and errors": tried}


for _kind, _tolerance in HEADS.items():
    for _alpha in ("auto", 1.0):
        register_head(_kind, _alpha, _tolerance)


@stage("knn", 1e-5, kinds=("conv",))
def knn(case: Case) -> Tensors:
    values, labels = case.features()
    return {"votes": nearest_neighbours(values[:40], values[40:], labels[40:], CLASSES, 5)}


READOUTS = {"zero_shot": {}, "knn": {"neighbours": 5}, "linear_probe": {"head": {"kind": "ridge", "alpha": 100.0}}}


def register_readout(readout: str, settings: Mapping[str, Any]) -> None:
    @stage(f"evaluation, {readout}", 1e-4, float64=readout != "linear_probe")
    def evaluation(case: Case) -> Tensors:
        """Of a mask and of recovered weights, on images half of which are labelled as the dense backbone reads them."""
        backbone, head, split = case.dense(), case.head(), case.images()
        read = head(extract_features(backbone, split.images)).argmax(1).cpu()
        split = replace(split, labels=torch.where(torch.arange(IMAGES) < IMAGES // 2, read, split.labels))
        scores = {name: weight.abs().cpu().numpy() for name, weight in weights_of(backbone).items()}
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            mask, weights = Path(folder) / "mask.safetensors", Path(folder) / "weights.safetensors"
            write_mask(mask, global_mask(scores, 0.2), {"mask": "global", "sparsity": 0.2})
            state = {name: tensor.cpu().numpy() for name, tensor in case.pruned().network.state_dict().items()}
            described = {"mask": "global", "sparsity": SPARSITY, "achieved_sparsity": SPARSITY}
            write_tensors(weights, state, described)
            for evaluate, path in ((evaluate_masks, mask), (evaluate_recovered, weights)):
                rows += evaluate(backbone, Target(head, split, {readout: settings}, split), [path])[0]
        numbers = [row[key] for row in rows for key in ("correct", "dense_top1", "retention", "loss", "dense_loss")]
        return {"rows": torch.tensor([number for number in numbers if number is not None], device=case.place.device)}


for _name, _settings in READOUTS.items():
    register_readout(_name, _settings)
