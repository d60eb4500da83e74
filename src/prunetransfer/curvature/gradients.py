"""Exact per-sample gradients of every prunable weight, from one forward and one backward pass of a batch.

Each layer leaves the two factors of which its per-sample gradients are products (`layers.rules`). Which layers those
are is seen from the functions that the weights enter (`layers.watch`), not from the modules that hold them. A weight
used in a way that no rule fits has its gradients taken image by image: slowly, as exactly, and with a warning that
names it.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils._pytree import tree_leaves

from prunetransfer.heads import Head
from prunetransfer.layers.rules import Use, sum_of_squares
from prunetransfer.layers.watch import Watch
from prunetransfer.models.backbones import Backbone
from prunetransfer.runtime.progress import progress

# Outputs [n, classes] without their graph and labels [n] → vectors [n, classes], each to be propagated back from them.
GradOutputs = Callable[[Tensor, Tensor], Iterable[Tensor]]

IMAGES_AT_ONCE = 64
# What the layers of one batch may read and write.
BATCH_BYTES = 2**30
# How far a rule may be from ordinary backward passes, relative to the norm: rounding is far below, error far above.
TOLERANCE = 1e-2


class LayerGradient(ABC):
    """The per-sample gradients g_i [n, *shape] of one weight on one batch, float32 at least."""

    images: int  # n
    nbytes: int  # what it holds until it is materialised

    @abstractmethod
    def materialise(self, part: slice = slice(None)) -> Tensor:
        """g_i as [n, *shape], or those of a part of the images."""

    @abstractmethod
    def square_sum(self) -> Tensor:
        """Σ_i g_i² as [*shape], without holding all g_i at once where they are products."""


class Products(LayerGradient):
    """g_i as the sum over the uses of a weight, each given with the gradient of its output."""

    def __init__(self, weight: Tensor, images: int, uses: Sequence[tuple[Use, Tensor]]):
        self.weight, self.images = weight, images
        self.dtype = torch.promote_types(weight.dtype, torch.float32)
        self.terms = [(use, use.input.unflatten(0, (images, -1)), b.unflatten(0, (images, -1))) for use, b in uses]
        self.nbytes = sum(a.nbytes + b.nbytes for _, a, b in self.terms)

    def materialise(self, part: slice = slice(None)) -> Tensor:
        rows = [use.gradients(a[part].to(self.dtype), b[part].to(self.dtype)) for use, a, b in self.terms]
        return sum(rows[1:], start=rows[0])

    def square_sum(self) -> Tensor:
        if len(self.terms) == 1:
            ((use, a, b),) = self.terms
            return use.square_sum(a.to(self.dtype), b.to(self.dtype))
        return sum_of_squares(self.materialise, self.images, self.weight.numel(), self.weight.device)


class Rows(LayerGradient):
    """g_i as they are: [n, *shape]."""

    def __init__(self, rows: Tensor):
        self.rows, self.images, self.nbytes = rows, len(rows), rows.nbytes

    def materialise(self, part: slice = slice(None)) -> Tensor:
        return self.rows[part]

    def square_sum(self) -> Tensor:
        return self.rows.square().sum(0)


def layer_gradients(
    backbone: Backbone,
    head: Head,
    images: Tensor,
    labels: Tensor,
    grad_outputs: GradOutputs,
    names: Collection[str] | None = None,
) -> Iterator[dict[str, LayerGradient]]:
    """Name → per-sample gradients of every prunable weight: one such dict for each batch and each of its grad_outputs.

    images: uint8 [m, h, w, 3]; labels: int64 [m]. A vector v [n, classes] of `grad_outputs` is propagated back from the
    outputs f, so g_i = (∂f_i/∂w)ᵀ v_i: the gradient of image i's own loss where v_i is that of its loss by its outputs.
    The gradient of a batch's mean loss would be an average of these. Normalisation runs in evaluation mode, so that an
    image's gradient does not depend on its neighbours. No gradient of another kind is computed, and no `.grad` is
    touched. names: only these weights' gradients; the batches, and so the gradients, are the same whatever the names.
    """
    backbone.eval()
    slow, bytes_an_image = rehearse(backbone, head, images.shape[1:])
    if slow:
        warnings.warn(f"gradients image by image, as no rule fits how they are used: {', '.join(slow)}", stacklevel=2)
    at_once = max(1, min(IMAGES_AT_ONCE, BATCH_BYTES // bytes_an_image))
    names = backbone.prunable().keys() if names is None else names
    slow = [name for name in slow if name in names]
    for part in progress(torch.arange(len(labels)).split(at_once), len(labels), "gradients"):
        yield from _batch_gradients(backbone, head, images[part], labels[part], grad_outputs, names, slow)


def loss_gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> GradOutputs:
    """That of the empirical curvature: the gradient of each image's loss by its outputs; `loss` returns [n]."""

    def gradient(outputs: Tensor, labels: Tensor) -> Iterator[Tensor]:
        outputs.requires_grad_()
        yield from torch.autograd.grad(loss(outputs, labels).sum(), outputs)

    return gradient


def rehearse(backbone: Backbone, head: Head, size: Sequence[int]) -> tuple[list[str], int]:
    """The weights that no rule fits, and the bytes that an image takes, as measured on two images of noise.

    Every rule is compared with ordinary backward passes of each image alone. So rows that do not lie image by image, or
    a use that went unseen, cannot pass; nor can a gradient that vanishes there, which would prove nothing.
    """
    noise = torch.Generator().manual_seed(0)
    images = backbone.noise((2, *size), noise)
    outputs, weights = _forward(backbone, head, images, backbone.prunable())
    v = torch.randn(outputs.shape, generator=noise).to(outputs)
    gradients = _products(outputs, {name: w for name, w in weights.items() if w.fit(len(images))}, v)
    expected = ImageByImage(backbone, head, images, weights).gradients(v)
    slow, bytes_used = [], 0
    for name, rows in expected.items():
        if name in gradients and _proven(gradients[name], rows):
            bytes_used += gradients[name].nbytes
        else:
            bytes_used += rows.nbytes
            slow.append(name)
    return slow, bytes_used // len(images)


def _proven(gradient: LayerGradient, rows: Tensor) -> bool:
    if isinstance(gradient, Rows):  # nothing reaches the outputs from this weight, and nothing may
        return not rows.any()
    return bool((gradient.materialise() - rows).norm() < TOLERANCE * rows.norm())


class ImageByImage:
    """The exact slow way, which fits any network: a graph an image, and a backward pass an image and vector."""

    def __init__(self, backbone: Backbone, head: Head, images: Tensor, names: Iterable[str]):
        weights = backbone.prunable()
        self.weights = {name: weights[name].requires_grad_() for name in names}
        self.outputs = [head(backbone(image[None].to(backbone.device))) for image in images]

    def gradients(self, vectors: Tensor) -> dict[str, Tensor]:
        """Name → g_i [n, *shape]. vectors: v_i [n, classes]."""
        weights = list(self.weights.values())
        rows = [
            torch.autograd.grad(outputs, weights, v[None], retain_graph=True, materialize_grads=True)
            for outputs, v in zip(self.outputs, vectors, strict=True)
        ]
        return {name: torch.stack(column) for name, column in zip(self.weights, zip(*rows, strict=True), strict=True)}


class WeightUses:
    """The uses of one weight that have a rule, with where their outputs' gradients arrive, and if there are others."""

    def __init__(self, weight: Tensor):
        self.weight = weight.requires_grad_()
        self.uses: list[tuple[Use, GradientEdge]] = []
        self.others = False

    def fit(self, images: int) -> bool:
        """Whether the rules say all about this weight on a batch of so many images."""
        return not self.others and all(use.fits(images) for use, _ in self.uses)

    def note(self, use: Use | None, output: Any) -> None:
        """Take down that a function was given the weight, and what it wrote."""
        if not any(isinstance(x, Tensor) and x.requires_grad for x in tree_leaves(output)):
            return  # a shape, a type, or what no gradient passes
        if use is None:
            self.others = True
        else:
            self.uses.append((use, get_gradient_edge(output)))


def _forward(
    backbone: Backbone, head: Head, images: Tensor, names: Collection[str]
) -> tuple[Tensor, dict[str, WeightUses]]:
    """Outputs [n, classes] with their graph, and name → uses of each prunable weight of these names."""
    weights = {name: WeightUses(weight) for name, weight in backbone.prunable().items() if name in names}

    def call(name: str, use: Use | None, function: Callable[[], Any]) -> Any:
        output = function()
        weights[name].note(use, output)
        return output

    with Watch({name: w.weight for name, w in weights.items()}, call):
        return head(backbone(images.to(backbone.device))), weights


def _batch_gradients(
    backbone: Backbone,
    head: Head,
    images: Tensor,
    labels: Tensor,
    grad_outputs: GradOutputs,
    names: Collection[str],
    slow: Collection[str],
) -> Iterator[dict[str, LayerGradient]]:
    outputs, weights = _forward(backbone, head, images, names)
    one_by_one = ImageByImage(backbone, head, images, slow) if slow else None
    for v in grad_outputs(outputs.detach(), labels.to(outputs.device)):
        gradients = _products(outputs, {name: w for name, w in weights.items() if name not in slow}, v)
        if one_by_one:
            gradients |= {name: Rows(rows) for name, rows in one_by_one.gradients(v).items()}
        yield {name: gradients[name] for name in weights}


def _products(outputs: Tensor, weights: Mapping[str, WeightUses], v: Tensor) -> dict[str, LayerGradient]:
    """One backward pass, down to what the functions that use the weights wrote."""
    edges = [edge for w in weights.values() for _, edge in w.uses]
    arrived = iter(torch.autograd.grad(outputs, edges, v, retain_graph=True, allow_unused=True) if edges else ())
    gradients = {}
    for name, w in weights.items():
        factors = [(use, b) for use, b in [(use, next(arrived)) for use, _ in w.uses] if b is not None]
        zeros = w.weight.new_zeros(()).expand(len(outputs), *w.weight.shape)
        gradients[name] = Products(w.weight, len(outputs), factors) if factors else Rows(zeros)
    return gradients
