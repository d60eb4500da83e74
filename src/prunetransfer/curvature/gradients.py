"""Exact per-sample gradients of every prunable weight, from one forward and one backward pass of a batch.

Each layer leaves the two factors of which its per-sample gradients are products (`layers`). Which layers those are is
seen from the functions that the weights enter (`uses`), not from the modules that hold them. A weight used in a way
that no rule fits has its gradients taken image by image: slowly, as exactly, and with a warning that names it.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from prunetransfer.heads import Head
from prunetransfer.layers.rules import Use, sum_of_squares
from prunetransfer.layers.uses import WeightUses, watched_forward
from prunetransfer.models.backbones import Backbone
from prunetransfer.runtime.progress import progress

# Outputs [n, classes] without their graph and labels [n] → vectors [n, classes], each to be propagated back.
Seeds = Callable[[Tensor, Tensor], Iterable[Tensor]]

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
        found = [use.gradients(a[part].to(self.dtype), b[part].to(self.dtype)) for use, a, b in self.terms]
        return sum(found[1:], start=found[0])

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
    seeds: Seeds,
    names: Collection[str] | None = None,
) -> Iterator[dict[str, LayerGradient]]:
    """Name → per-sample gradients of every prunable weight: for each batch of the images, one such dict a seed.

    images: uint8 [m, h, w, 3]; labels: int64 [m]. A seed v [n, classes] is propagated back from the outputs f, so
    g_i = (∂f_i/∂w)ᵀ v_i: the gradient of image i's own loss where v_i is that of its loss by its outputs. The gradient
    of a batch's mean loss would be an average, not they. Normalisation runs in evaluation mode, so that an image's
    gradient does not depend on its neighbours. No gradient of another kind is computed, and no `.grad` is touched.
    names: only these weights' gradients; the batches, and so the gradients, are the same whatever the names.
    """
    backbone.eval()
    slow, bytes_an_image = rehearse(backbone, head, images.shape[1:])
    if slow:
        warnings.warn(f"gradients image by image, as no rule fits how they are used: {', '.join(slow)}", stacklevel=2)
    at_once = max(1, min(IMAGES_AT_ONCE, BATCH_BYTES // bytes_an_image))
    names = backbone.prunable().keys() if names is None else names
    slow = [name for name in slow if name in names]
    for part in progress(torch.arange(len(labels)).split(at_once), len(labels), "gradients"):
        yield from _batch_gradients(backbone, head, images[part], labels[part], seeds, names, slow)


def loss_gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> Seeds:
    """The seed of the empirical curvature: the gradient of each image's loss by its outputs; `loss` returns [n]."""

    def seeds(outputs: Tensor, labels: Tensor) -> Iterator[Tensor]:
        outputs.requires_grad_()
        yield from torch.autograd.grad(loss(outputs, labels).sum(), outputs)

    return seeds


def rehearse(backbone: Backbone, head: Head, size: Sequence[int]) -> tuple[list[str], int]:
    """The weights that no rule fits, and the bytes that an image takes, as found out on two images of noise.

    Every rule is held against ordinary backward passes of each image alone. So rows that do not lie image by image, or
    a use that went unseen, cannot pass; nor can a gradient that vanishes there, which would prove nothing.
    """
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, *size), generator=noise, dtype=torch.uint8)
    outputs, weights = watched_forward(backbone, head, images, backbone.prunable())
    seed = torch.randn(outputs.shape, generator=noise).to(outputs)
    found = _products(outputs, {name: w for name, w in weights.items() if w.fit(len(images))}, seed)
    expected = ImageByImage(backbone, head, images, weights).gradients(seed)
    slow, bytes_used = [], 0
    for name, rows in expected.items():
        if name in found and _proven(found[name], rows):
            bytes_used += found[name].nbytes
        else:
            bytes_used += rows.nbytes
            slow.append(name)
    return slow, bytes_used // len(images)


def _proven(found: LayerGradient, rows: Tensor) -> bool:
    if isinstance(found, Rows):  # nothing reaches the outputs from this weight, and nothing may
        return not rows.any()
    return bool((found.materialise() - rows).norm() < TOLERANCE * rows.norm())


class ImageByImage:
    """The exact slow way, which fits any network: a graph an image, a backward pass an image and seed."""

    def __init__(self, backbone: Backbone, head: Head, images: Tensor, names: Iterable[str]):
        weights = backbone.prunable()
        self.weights = {name: weights[name].requires_grad_() for name in names}
        self.outputs = [head(backbone(image[None].to(backbone.device))) for image in images]

    def gradients(self, seed: Tensor) -> dict[str, Tensor]:
        """Name → g_i [n, *shape]."""
        weights = list(self.weights.values())
        rows = [
            torch.autograd.grad(outputs, weights, v[None], retain_graph=True, materialize_grads=True)
            for outputs, v in zip(self.outputs, seed, strict=True)
        ]
        return {name: torch.stack(column) for name, column in zip(self.weights, zip(*rows, strict=True), strict=True)}


def _batch_gradients(
    backbone: Backbone,
    head: Head,
    images: Tensor,
    labels: Tensor,
    seeds: Seeds,
    names: Collection[str],
    slow: Collection[str],
) -> Iterator[dict[str, LayerGradient]]:
    outputs, weights = watched_forward(backbone, head, images, names)
    one_by_one = ImageByImage(backbone, head, images, slow) if slow else None
    for seed in seeds(outputs.detach(), labels.to(outputs.device)):
        found = _products(outputs, {name: w for name, w in weights.items() if name not in slow}, seed)
        if one_by_one:
            found |= {name: Rows(rows) for name, rows in one_by_one.gradients(seed).items()}
        yield {name: found[name] for name in weights}


def _products(outputs: Tensor, weights: Mapping[str, WeightUses], seed: Tensor) -> dict[str, LayerGradient]:
    """One backward pass, down to what the functions that use the weights wrote."""
    edges = [edge for w in weights.values() for _, edge in w.uses]
    arrived = iter(torch.autograd.grad(outputs, edges, seed, retain_graph=True, allow_unused=True) if edges else ())
    found = {}
    for name, w in weights.items():
        uses = [(use, b) for use, b in [(use, next(arrived)) for use, _ in w.uses] if b is not None]
        none = w.weight.new_zeros(()).expand(len(outputs), *w.weight.shape)
        found[name] = Products(w.weight, len(outputs), uses) if uses else Rows(none)
    return found
