"""A pruned backbone with all that is taken home with it, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone, extract_features
from prunetransfer.pruning.masks import Mask
from prunetransfer.structure.shrink import shrunk
from prunetransfer.structure.units import Units

UNKNOWN = "unknown"  # a licence that nothing here says


@dataclass(frozen=True)
class Measured:
    """One accuracy on a task's test images, beside that of the dense backbone.

    unseen: neither the mask nor the recovery saw images of the task. low, high: the interval of retention at the
    confidence of `Facts`. None where the dense backbone has nothing to retain.
    """

    task: str
    unseen: bool
    readout: str
    images: int
    dense: float
    accuracy: float
    retention: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Facts:
    """What the card tells and no tensor says.

    name: a title. pruning: what was pruned with what, and guarantee: what is guaranteed, in sentences. provenance:
    what → the revision, version or digest that it has. licence: of the original weights, an identifier.
    """

    name: str
    pruning: str
    measured: Sequence[Measured] = ()
    confidence: float = 0.95
    guarantee: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)
    licence: str = UNKNOWN


@dataclass(frozen=True)
class PrunedModel:
    """A pruned backbone, and recovered where it was, with all that is taken home with it.

    backbone: without its classifier, in evaluation mode, on the CPU. entry: as one of a config's `backbones`, with
    architecture, options, mean, std, size, interpolation, crop and crop_mode. mask: name → bool array, True where a
    weight stays. images: uint8 [n, size, size, 3], at least two real ones, that each format is checked on. classifier:
    the checkpoint's own, whose place in the network `pretrained_cfg` names. heads: task → its head; classes: task → the
    names of its classes, in the order of the head's. units: where the mask takes whole units out, those of the
    backbone.
    """

    backbone: Backbone
    entry: Mapping[str, Any]
    mask: Mask
    images: Tensor
    facts: Facts
    classifier: Head | None = None
    heads: Mapping[str, Head] = field(default_factory=dict)
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    units: Units | None = None

    @cached_property
    def smallest(self) -> Backbone:
        """The backbone, without the units that the mask takes whole: it computes the same to rounding."""
        return self.backbone if self.units is None else shrunk(self.backbone, self.units, self.mask)

    def check(self) -> None:
        """Raise ValueError, in one line, for parts that do not belong together or hold numbers that are not finite."""
        side = self.entry["size"]
        if self.images.dtype != torch.uint8 or self.images.shape[1:] != (side, side, 3) or len(self.images) < 2:
            found = f"{self.images.dtype} {list(self.images.shape)}"
            raise ValueError(f"images are {found}; a check takes at least two, uint8 [n, {side}, {side}, 3]")
        weights = dict(self.backbone.network.named_parameters())
        for name, keep in self.mask.items():
            if name not in weights or weights[name].shape != keep.shape:
                raise ValueError(f"the mask is of another backbone: it has no {name} of shape {list(keep.shape)}")
            if weights[name][~torch.from_numpy(keep)].any():
                raise ValueError(f"{name}: weights that the mask takes away are not zero")
        if self.heads.keys() != self.classes.keys():
            raise ValueError(
                f"tasks {', '.join(sorted(self.heads.keys() ^ self.classes.keys()))}: head or classes lack"
            )
        width = self.features.shape[1]
        for task, head in self.heads.items():
            if head.weight.shape != (width, len(self.classes[task])):
                shape = f"{list(head.weight.shape)}, not {width} features × {len(self.classes[task])} classes"
                raise ValueError(f"the head of {task} is {shape}")
        for name, tensor in self.tensors().items():
            if not tensor.isfinite().all():
                raise ValueError(f"{name} holds numbers that are NaN or infinite")

    @cached_property
    def features(self) -> Tensor:
        """Of `images`, float32 [n, d]."""
        return extract_features(self.backbone, self.images)

    @property
    def inputs(self) -> Tensor:
        """What the network is given of `images`: normalised, float32 [n, 3, size, size], contiguous."""
        return Backbone(nn.Identity(), self.entry["mean"], self.entry["std"]).inputs(self.images).contiguous()

    def tensors(self) -> dict[str, Tensor]:
        """All tensors of the network by their names in it, contiguous; the classifier's, where there is one, too."""
        state = self.backbone.network.state_dict()
        if self.classifier:
            name = self.backbone.network.pretrained_cfg["classifier"]
            state |= {f"{name}.weight": self.classifier.weight.T, f"{name}.bias": self.classifier.bias}
        return {name: tensor.detach().contiguous() for name, tensor in state.items()}

    def answers(self, features: Tensor) -> dict[str, Tensor]:
        """The class of each image by the classifier and by each head, int64 [n]. features: float [n, d]."""
        own = {"the classifier": self.classifier} if self.classifier else {}
        return {name: head(features).argmax(1) for name, head in {**own, **self.heads}.items()}


def check_alike(model: PrunedModel, features: Tensor, indices: slice, what: str, tolerance: float) -> None:
    """Raise ValueError unless the features [n, d] that a file makes of some images are those of the backbone.

    indices: of the images. tolerance: how far they may be apart, relative to the norm. The classifier and each head
    must give the same answers.
    """
    expected = model.features[indices]
    if features.shape != expected.shape:
        raise ValueError(f"{what}: features of shape {list(features.shape)}, not {list(expected.shape)}")
    apart = float((features - expected).norm() / expected.norm().clamp(min=torch.finfo(torch.float32).tiny))
    if not apart <= tolerance:
        raise ValueError(f"{what}: its features are {apart:.1e} of their norm apart from the backbone's")
    of_backbone = model.answers(expected)
    for name, answers in model.answers(features).items():
        if not answers.equal(of_backbone[name]):
            raise ValueError(f"{what}: {name} answers otherwise than with the backbone's features")
