"""What stages compute on, in one place or another, and how a stage is registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from unit import networks
from unit.networks import CLASSES, images_of
from unit.reference import redrawn

from prunetransfer.datasets.splits import Split
from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone, build_backbone, extract_features

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
DRAWN = {"samples": IMAGES - 6, "sampling": "balanced"}


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


STAGES: dict[str, Stage] = {}  # gpu.stages imports all that register some


def stage(name: str, tolerance: float, **options: Any) -> Callable:
    def register(compute: Callable[[Case], Tensors]) -> Callable[[Case], Tensors]:
        STAGES[name] = Stage(compute, tolerance, **options)
        return compute

    return register
