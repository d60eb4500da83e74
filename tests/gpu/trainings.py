"""Stages that change weights: recoveries, fine-tuning, which may be killed and go on, and pre-training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from gpu.cases import DRAWN, IMAGES, KINDS, Case, Tensors, stage
from unit.networks import weights_of

from prunetransfer.models.backbones import Backbone
from prunetransfer.recovery.case import Case as Recovered
from prunetransfer.settings.registry import find
from prunetransfer.training import saved_state
from prunetransfer.training.pretraining import pretrain
from prunetransfer.training.saved_state import SavedState

RECOVERED: dict[str, tuple[dict[str, Any], float]] = {
    "batchnorm": ({"samples": IMAGES}, 1e-4),
    "moments": ({"samples": IMAGES}, 1e-3),
    "reconstruct": ({"samples": IMAGES, "positions": 1000, "ridge": 1e-2}, 1e-2),
    "compensate": (DRAWN | {"loss": "squared", "block_size": 8, "damping": 1e-2}, 1e-2),
}


def changed(case: Case, recover: Callable[[Backbone, Tensors], Any]) -> Tensors:
    """What a recovery adds to the tensors of the pruned backbone; pruned weights stay zero."""
    backbone, mask = case.pruned(), case.mask()
    recover(backbone, mask)
    assert not any((weight * ~mask[name]).any() for name, weight in weights_of(backbone).items())
    return difference(case.pruned(), backbone)


def difference(before: Backbone, after: Backbone) -> Tensors:
    found = after.network.state_dict()
    return {
        name: found[name].detach() - tensor
        for name, tensor in before.network.state_dict().items()
        if tensor.is_floating_point()
    }


def register_recovery(name: str, settings: Mapping[str, Any], tolerance: float) -> None:
    @stage(f"recovery {name}", tolerance, kinds=("conv", "resnet") if name == "batchnorm" else KINDS)
    def recovery(case: Case) -> Tensors:
        recovery, train, head = find("recoveries", name), case.images(), case.head()
        if not recovery.needs["labels"]:
            train, head = replace(train, labels=None), None
        return changed(
            case,
            lambda backbone, mask: recovery.function(
                Recovered(backbone, case.dense(), mask, head, train, 0), **settings
            ),
        )


for _name, _recovered in RECOVERED.items():
    register_recovery(_name, *_recovered)

# 30 images in batches of 12: three steps an epoch.
TUNED = {"loss": "squared", "epochs": 2, "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01, "batch_size": 12}
TUNED |= {"least_crop": 0.5, "clip_norm": 1.0, "milestones": [1], "precision": "float32"}
# Half precision has 8 bits. AdamW divides by the size of a gradient: where that is all rounding, as of the bias of
# attention's keys, so is the step.
TUNINGS: dict[str, tuple[dict[str, Any], float, tuple[str, ...]]] = {
    "sgd, float32": (TUNED, 1e-2, KINDS),
    "adamw, float32": (TUNED | {"optimizer": "adamw", "learning_rate": 1e-3}, 1e-2, ("conv", "resnet")),
    "a step in bfloat16": (TUNED | {"precision": "bfloat16", "epochs": 1, "batch_size": IMAGES}, 0.2, KINDS),
}


def tuned(case: Case, saved: SavedState | None = None, **settings: Any) -> Tensors:
    return changed(
        case,
        lambda backbone, mask: find("recoveries", "finetune").function(
            Recovered(backbone, case.dense(), mask, case.head(), case.images(), 0, saved), **settings
        ),
    )


def register_tuning(name: str, settings: Mapping[str, Any], tolerance: float, kinds: tuple[str, ...]) -> None:
    @stage(f"fine-tuning, {name}", tolerance, kinds=kinds)
    def tuning(case: Case) -> Tensors:
        return tuned(case, **settings)


for _name, _tuned in TUNINGS.items():
    register_tuning(_name, *_tuned)


# Objective → its settings and the package that it needs.
PRETRAINED: dict[str, tuple[dict[str, Any], str | None]] = {
    "supervised": ({"label_smoothing": 0.1, "shift": 1}, None),
    "moco-v2": ({"least_crop": 0.5, "queue": 12, "temperature": 0.2, "momentum": 0.9}, "lightly"),
    "dino": (
        {"least_crop": 0.5, "outputs": 16, "momentum": 0.5, "warmup": 1, "local_views": 1, "local_size": 4},
        "lightly",
    ),
}
STEPS = {"epochs": 2, "batch_size": 12, "optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 1e-4}
STEPS |= {"held_out": 0, "precision": "float32"}


def register_pretraining(objective: str, settings: Mapping[str, Any], needs: str | None) -> None:
    @stage(f"pre-training, {objective}", 1e-2, kinds=("conv", "resnet"), needs=needs, float64=False)
    def pretraining(case: Case) -> Tensors:
        """What a pre-training adds to the backbone that is kept of it."""
        backbone = case.dense()
        torch.manual_seed(0)  # of its heads
        run = pretrain(backbone, case.images(), 0, objective=objective, **STEPS, **settings)[0]
        return difference(case.dense(), run.kept)


for _name, _pretrained in PRETRAINED.items():
    register_pretraining(_name, *_pretrained)


class Killed(Exception):
    """The job ends here."""


def resumed(case: Case, folder: Path) -> tuple[Tensors, Tensors]:
    """What a fine-tuning changes that was killed after its fourth step and went on, and what one that was not."""
    settings = TUNED | {"precision": "auto"}
    source = folder / "input"
    source.touch()

    def saved() -> SavedState:
        return SavedState(folder / "tuned.safetensors", settings, [str(source)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved_state, "SAVE_EVERY", 0.0)
        save, saves = SavedState.save, []

        def save_and_die(self: SavedState, state: Mapping[str, Any]) -> None:
            saves.append(save(self, state))
            if len(saves) == 4:
                raise Killed

        patch.setattr(SavedState, "save", save_and_die)
        with pytest.raises(Killed):
            tuned(case, saved(), **settings)
    assert saved().load() is not None
    return tuned(case, saved(), **settings), tuned(case, **settings)
