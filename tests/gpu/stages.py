"""Every stage as a function of where it runs: what it computes there, and how far another place may be from it.

Two places are compared: a GPU and the CPU; where there is no GPU, one that is pretended, or two precisions of the CPU.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from unit import networks
from unit.networks import CLASSES, images_of, weights_of
from unit.reference import redrawn

from prunetransfer.criteria.source import Source
from prunetransfer.datasets.splits import Split
from prunetransfer.evaluation.grid import Target, evaluate_masks, evaluate_recovered
from prunetransfer.heads import Head
from prunetransfer.heads.fitting import fit_head
from prunetransfer.heads.knn import nearest_neighbours
from prunetransfer.models.backbones import Backbone, build_backbone, extract_features
from prunetransfer.pruning.masks import global_mask, write_mask
from prunetransfer.recovery.case import Case as Recovered
from prunetransfer.settings.registry import find
from prunetransfer.storage.artifacts import write_tensors
from prunetransfer.training import saved_state
from prunetransfer.training.pretraining import pretrain
from prunetransfer.training.saved_state import SavedState

Tensors = dict[str, Tensor]

# Of the sizes that kernels are chosen for; the tiny ones of unit.networks are there too.
LARGER = {
    "resnet": {"architecture": "resnet18", "options": {"layers": [1, 1, 1, 1], "channels": [16, 32, 64, 64]}},
    "attention": {
        "architecture": "vit_tiny_patch16_224",
        "options": {"img_size": 32, "patch_size": 4, "embed_dim": 96, "depth": 2, "num_heads": 3},
    },
}
SIZES = {"conv": networks.SIZE, "vit": networks.SIZE, "resnet": 32, "attention": 32}
KINDS = tuple(SIZES)
IMAGES = 30
SPARSITY = 0.5


@dataclass(frozen=True)
class Place:
    """Where and how exactly a stage computes."""

    device: torch.device
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class Case:
    """A pruned and a dense backbone with a head and images, in one place; the same numbers in every place."""

    kind: str
    place: Place

    def dense(self) -> Backbone:
        if self.kind in networks.BACKBONES:
            backbone = networks.backbone_of(self.kind)
        else:
            torch.manual_seed(0)
            settings = {"mean": [0.5] * 3, "std": [0.25] * 3, "exclude": [], **LARGER[self.kind]}
            backbone = build_backbone(settings)
            redrawn(backbone.network)
        return backbone.to(self.place.device, self.place.dtype)

    def pruned(self) -> Backbone:
        backbone = self.dense()
        backbone.prune(self.mask())
        return backbone

    def mask(self) -> Tensors:
        """About half of each layer."""
        draw = torch.Generator().manual_seed(0)
        shapes = {name: weight.shape for name, weight in self.dense().prunable().items()}
        return {
            name: (torch.rand(shape, generator=draw) < SPARSITY).to(self.place.device) for name, shape in shapes.items()
        }

    def images(self, seed: int = 0) -> Split:
        size = SIZES[self.kind]
        draw = torch.Generator().manual_seed(seed)
        pixels = torch.randint(256, (IMAGES, size, size, 3), generator=draw, dtype=torch.uint8)
        return replace(images_of(IMAGES), images=pixels)

    def head(self) -> Head:
        backbone = self.dense()
        width = extract_features(backbone, self.images().images[:1]).shape[1]
        draw = torch.Generator().manual_seed(1)
        weight = torch.randn(width, CLASSES, generator=draw) / width**0.5
        return Head(weight, torch.randn(CLASSES, generator=draw), 1.0).to(self.place.device, self.place.dtype)

    def features(self) -> tuple[Tensor, Tensor]:
        """Classes that overlap, [n, d], and their labels."""
        draw = torch.Generator().manual_seed(2)
        labels = torch.arange(120) % CLASSES
        values = torch.randn(120, 16, generator=draw) + torch.randn(CLASSES, 16, generator=draw)[labels]
        return values.to(self.place.device, self.place.dtype), labels.to(self.place.device)


@dataclass(frozen=True)
class Stage:
    """compute: a case → what the stage finds; tolerance: ‖difference‖ / ‖expected‖ allowed of each tensor."""

    compute: Callable[[Case], Tensors]
    tolerance: float
    kinds: tuple[str, ...] = KINDS
    needs: str | None = None  # a package
    float64: bool = True  # whether it takes that too


STAGES: dict[str, Stage] = {}


def stage(name: str, tolerance: float, **options: Any) -> Callable:
    def register(compute: Callable[[Case], Tensors]) -> Callable[[Case], Tensors]:
        STAGES[name] = Stage(compute, tolerance, **options)
        return compute

    return register


def found(name: str, kind: str, place: Place) -> Tensors:
    """What a stage finds, on the CPU and in float64; the stage leaves its results where it computes."""
    if needs := STAGES[name].needs:
        pytest.importorskip(needs)
    tensors = STAGES[name].compute(Case(kind, place))
    elsewhere = {key for key, tensor in tensors.items() if tensor.device.type != place.device.type}
    assert not elsewhere, f"{name}: not on {place.device.type}: {', '.join(elsewhere)}"
    return {key: tensor.detach().cpu().double() for key, tensor in tensors.items()}


found_once = cache(found)  # the CPU is asked by several tests


def assert_agree(name: str, kind: str, place: Place, reference: Place) -> None:
    """A stage finds in `place` what it finds in `reference`, within its tolerance; and that is something."""
    here, there = (found_once(name, kind, at) for at in (place, reference))
    assert here.keys() == there.keys()
    assert any(tensor.any() for tensor in there.values()), f"{name}: nothing was found"
    errors = {key: relative_error(here[key], there[key]) for key in there}
    wrong = {key: error for key, error in errors.items() if not error <= STAGES[name].tolerance}
    assert not wrong, f"{name} on {kind}, {place} and {reference}: {wrong}"


def relative_error(here: Tensor, there: Tensor) -> float:
    assert here.shape == there.shape
    difference = (here - there).norm()
    return 0.0 if difference == 0 else (difference / there.norm()).item()


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


DRAWN = {"samples": IMAGES - 6, "sampling": "balanced"}
EMPIRICAL = {"matrix": "empirical", "draws": None}
DIAGONAL = {"loss": "squared", **EMPIRICAL, **DRAWN}
BLOCK = DIAGONAL | {"block_size": 8, "damping": 1e-2}
# Score → its settings and the tolerance; each curvature, loss and damping once.
SCORED: dict[str, tuple[str, dict[str, Any], float]] = {
    "magnitude": ("magnitude", {}, 1e-6),
    "diagonal": ("diagonal", DIAGONAL, 1e-4),
    "diagonal, cross_entropy": ("diagonal", DIAGONAL | {"loss": "cross_entropy"}, 1e-4),
    "diagonal, ggn": ("diagonal", DIAGONAL | {"matrix": "ggn"}, 1e-4),
    "diagonal, fisher": ("diagonal", DIAGONAL | {"matrix": "fisher", "draws": 2}, 1e-4),
    "diagonal, fisher of cross_entropy": (
        "diagonal",
        DIAGONAL | {"matrix": "fisher", "draws": 2, "loss": "cross_entropy"},
        1e-4,
    ),
    "damped": ("damped", DIAGONAL | {"relative": 0.1}, 1e-4),
    "features": ("features", {"samples": IMAGES - 6, "draws": 2}, 1e-4),
    "features, whitened": ("features", {"samples": IMAGES - 6, "whiten": True}, 1e-2),
    "block": ("block", BLOCK, 1e-4),
    "block, more images than weights": ("block", BLOCK | {"block_size": 64}, 1e-4),
    # Little damping: float32 and float64 on one CPU differ by 1e-3 of some layers, as the inverse magnifies rounding.
    "block, relative damping": ("block", BLOCK | {"damping": None, "relative": 1e-2}, 1e-2),
    "correlated": ("correlated", BLOCK, 1e-2),
    "kfac": ("kfac", DIAGONAL | {"relative": 0.1}, 1e-2),
    "kfac, corrected": ("kfac", DIAGONAL | {"relative": 0.1, "corrected": True}, 1e-2),
    "random": ("random", {}, 1e-6),
    "snip": ("snip", {"loss": "cross_entropy", **DRAWN}, 1e-4),
    "grasp": ("grasp", {"loss": "squared", **DRAWN}, 1e-4),
    # Places in an order, in which weights that are nearly alike may swap theirs.
    "synflow": ("synflow", {"rounds": 3}, 1e-2),
    "wanda": ("wanda", {"samples": IMAGES - 6}, 1e-2),
    "sparsegpt": ("sparsegpt", {"sparsity": 0.5, "samples": IMAGES - 6, "positions": 1000}, 1e-2),
}


def register_score(name: str, score: str, settings: Mapping[str, Any], tolerance: float) -> None:
    @stage(f"score {name}", tolerance)
    def compute(case: Case) -> Tensors:
        registered = find("scores", score)
        sees = registered.needs["sees"]
        head, train = case.head() if sees == "labels" else None, case.images() if sees else None
        source = Source(case.dense(), head, train, 0, (3, *case.images().images.shape[1:3]))
        scores = registered.function(source, **settings)
        if "damping" in source.record:
            scores["damping"] = torch.tensor(source.record["damping"], device=case.place.device)
        return scores


for _name, _scored in SCORED.items():
    register_score(_name, *_scored)

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


@stage("landscape", 1e-2, kinds=("conv", "vit"), needs="curvlinops")
def landscape(case: Case) -> Tensors:
    """Spectrum, predicted and measured change of the loss; eigenvalues are found to within 1%."""
    from prunetransfer.curvature.task import Task
    from prunetransfer.landscape import spectrum
    from prunetransfer.landscape.perturbation import Surroundings

    task = Task(case.dense(), case.head(), case.images())
    arrays, record = spectrum.compute(task, 0, eigenvalues=2, draws=None, hessian_eigenvalue=True)
    surroundings = Surroundings(task)
    numbers = record | surroundings.predict(case.mask()) | surroundings.path(case.mask(), 2)
    assert isinstance(arrays["eigenvectors"], type(arrays["diagonal"]))
    kept = {key: torch.from_numpy(arrays[key].copy()) for key in ("eigenvalues", "diagonal")}
    kept |= {str(key): torch.tensor(value) for key, value in numbers.items()}
    return {key: tensor.to(case.place.device) for key, tensor in kept.items()}
