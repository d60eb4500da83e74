"""Per-sample gradients of a weight from what its layer read and the gradients of what it wrote.

A layer that reads a_it [c] at position t of image i and writes W a_it has the per-sample gradients g_i = Σ_t b_it a_itᵀ
[o, c], where b_it is the gradient of what it wrote. So one forward and one backward pass of a batch hold those of all
its images (Goodfellow 2015, arXiv 1510.01799). A convolution is such a layer on patches; one with groups is several.
A weight that is used several times has the sum over its uses.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# Squares are summed over parts of the images that hold so many numbers, so that they stay in a cache: on a CPU those
# of each thread.
AT_ONCE = {"cpu": 2**19, "cuda": 2**24}
# Up to here a product over pairs of positions is faster than the per-sample gradients, which it never forms.
FEW_POSITIONS = 4
# From here on (numbers in a weight) a CPU adds squares faster image by image than by squaring and summing several.
LARGE_WEIGHT = 2**16


@dataclass(eq=False)
class Use(ABC):
    """One call of a function on a weight; its fields are the function's arguments.

    Input and output begin with the images, or with equally many rows of each (windows, say), image by image. Below,
    a and b are the input and the output's gradient with images and rows told apart: [n, rows, ...].
    """

    input: Tensor
    weight: Tensor
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        self.input = self.input.detach()

    def fits(self, images: int) -> bool:
        """Whether the input can be divided among so many images."""
        return self.input.dim() > 1 and len(self.input) % images == 0

    @abstractmethod
    def gradients(self, a: Tensor, b: Tensor) -> Tensor:
        """g_i as [n, *shape]."""

    @abstractmethod
    def square_sum(self, a: Tensor, b: Tensor) -> Tensor:
        """Σ_i g_i² as [*shape]."""


class ProductUse(Use):
    """A use whose per-sample gradients are matrix products, one a group."""

    groups = 1

    @abstractmethod
    def factors(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """a_it as [n, groups, T, c] and b_it as [n, groups, T, o]."""

    @abstractmethod
    def shaped(self, products: Tensor) -> Tensor:
        """Products bᵀa [n, groups, o, c] in the weight's shape: [n, *shape]."""

    @abstractmethod
    def matrices(self, weight: Tensor) -> Tensor:
        """The other way round: what has the weight's shape as [groups, o, c]."""

    def gradients(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = self.factors(a, b)
        return self.shaped(b.mT @ a)

    def square_sum(self, a: Tensor, b: Tensor) -> Tensor:
        positions, columns = b[0].numel() // len(self.weight), self.weight[0].numel()
        if positions <= FEW_POSITIONS and self.groups == 1:
            return self.shaped(_squares_by_pairs(*self.factors(a, b))[None])[0]
        total = b.new_zeros(self.groups, len(self.weight) // self.groups, columns)
        for part in parts(len(a), self.weight.numel() + self.groups * positions * columns, a.device):
            _add_squares(total, *self.factors(a[part], b[part]))
        return self.shaped(total[None])[0]


class Linear(ProductUse):
    """`F.linear`: reads [n, ..., c], writes [n, ..., o]; what lies between is positions."""

    def factors(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return a.flatten(1, -2)[:, None], b.flatten(1, -2)[:, None]

    def shaped(self, products: Tensor) -> Tensor:
        return products[:, 0]

    def matrices(self, weight: Tensor) -> Tensor:
        return weight[None]


@dataclass(eq=False)
class Convolution(ProductUse):
    """`F.conv1d`, `F.conv2d` and `F.conv3d`: reads [n, channels, *size]."""

    stride: int | Sequence[int] = 1
    padding: int | Sequence[int] | str = 0
    dilation: int | Sequence[int] = 1
    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.kernel = self.weight.shape[2:]
        self.stride, self.dilation = self._by_axis(self.stride), self._by_axis(self.dilation)
        if isinstance(self.padding, str):
            reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
            self.padding = [(r // 2, r - r // 2) if self.padding == "same" else (0, 0) for r in reach]
        else:
            self.padding = [(p, p) for p in self._by_axis(self.padding)]

    def _by_axis(self, value: int | Sequence[int]) -> list[int]:
        values = [value] if isinstance(value, int) else list(value)
        return values * len(self.kernel) if len(values) == 1 else values

    def fits(self, images: int) -> bool:
        return super().fits(images) and self.input.dim() == self.weight.dim()

    def factors(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        n, rows = b.shape[:2]
        patches = self._patches(a.flatten(0, 1))
        b = b.flatten(0, 1).unflatten(1, (self.groups, -1)).flatten(3).mT
        patches, b = (x.unflatten(0, (n, rows)).movedim(1, 2).flatten(2, 3) for x in (patches, b))
        return patches, b

    def _padded(self, x: Tensor) -> Tensor:
        return F.pad(x, list(itertools.chain(*reversed(self.padding))))

    def _patches(self, x: Tensor) -> Tensor:
        """[n, channels, *size] → [n, groups, T, c]; c is (kernel, channels), with groups (channels, kernel).

        Each is the faster to arrange: all channels lie side by side in memory, those of a group are few.
        """
        axes = len(self.kernel)
        x = self._padded(x if self.groups == 1 else x.contiguous())
        for axis, (k, s, d) in enumerate(zip(self.kernel, self.stride, self.dilation, strict=True), start=2):
            x = x.unfold(axis, d * (k - 1) + 1, s)[..., ::d]  # [n, channels, *positions, *kernel]
        if self.groups == 1:
            return x.movedim(1, -1).flatten(1 + axes).flatten(1, axes)[:, None]
        x = x.movedim(tuple(range(2, 2 + axes)), tuple(range(-axes, 0))).flatten(2 + axes).flatten(1, 1 + axes)
        return x.unflatten(1, (self.groups, -1)).mT

    def shaped(self, products: Tensor) -> Tensor:
        if self.groups == 1:
            return products[:, 0].unflatten(-1, (*self.kernel, -1)).movedim(-1, 2)
        return products.flatten(1, 2).unflatten(-1, (-1, *self.kernel))

    def matrices(self, weight: Tensor) -> Tensor:
        if self.groups == 1:
            return weight.movedim(1, -1).flatten(1)[None]
        return weight.flatten(1).unflatten(0, (self.groups, -1))


class DepthwiseConvolution(Convolution):
    """A convolution whose output channels read one channel each."""

    def gradients(self, a: Tensor, b: Tensor) -> Tensor:
        """The channel that was read, of each image, convolved with its b: stride and dilation change places."""
        n, rows, channels = b.shape[:3]
        x = self._padded(a.flatten(0, 1)).repeat_interleave(channels // a.shape[2], 1).flatten(0, 1)
        kernels = b.flatten(0, 2)[:, None]
        convolve = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(self.kernel)]
        products = convolve(x[None], kernels, stride=self.dilation, dilation=self.stride, groups=len(x))[0]
        reached = products[(..., *map(slice, self.kernel))]  # a stride can leave over what no kernel reached
        return reached.unflatten(0, (n, rows, channels)).sum(1)[:, :, None]

    def square_sum(self, a: Tensor, b: Tensor) -> Tensor:
        return sum_of_squares(lambda part: self.gradients(a[part], b[part]), len(a), a[0].numel(), a.device)


def convolution(*args: Any, **options: Any) -> Convolution:
    """The rule for a convolution with these arguments."""
    use = Convolution(*args, **options)
    return DepthwiseConvolution(*args, **options) if use.groups > 1 == use.weight.shape[1] else use


RULES: dict[Callable, Callable[..., Use]] = {
    F.linear: Linear,
    F.conv1d: convolution,
    F.conv2d: convolution,
    F.conv3d: convolution,
}


def require_rules(ruled: Collection[str], weights: Collection[str]) -> None:
    """Raise ValueError, naming them, for weights that are not among those which entered a function of RULES."""
    if missed := [name for name in weights if name not in ruled]:
        raise ValueError(f"no rule fits how these are used; name them in `exclude`: {', '.join(missed)}")


def parts(images: int, numbers_an_image: int, device: torch.device) -> list[slice]:
    """The images in parts that fit into a cache, or one by one."""
    at_once = max(1, _cache(device) // numbers_an_image)
    return [slice(start, start + at_once) for start in range(0, images, at_once)]


def sum_of_squares(
    gradients: Callable[[slice], Tensor], images: int, numbers_an_image: int, device: torch.device
) -> Tensor:
    """Σ_i g_i², part by part; `gradients` forms the g_i of a part."""
    return sum(gradients(part).square().sum(0) for part in parts(images, numbers_an_image, device))


def _cache(device: torch.device) -> int:
    return AT_ONCE[device.type] * (torch.get_num_threads() if device.type == "cpu" else 1)


def _add_squares(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add Σ_i (Σ_t b_it a_itᵀ)² to the total [groups, o, c]."""
    if total.numel() < LARGE_WEIGHT or total.device.type != "cpu":
        total += (b.mT @ a).square_().sum(0)
        return
    rows = max(1, _cache(total.device) * total.shape[1] // total.numel())
    for x, y in zip(a, b, strict=True):
        for y_part, total_part in zip(y.split(rows, dim=-1), total.split(rows, dim=1), strict=True):
            g = y_part.mT @ x
            total_part.addcmul_(g, g)


def _squares_by_pairs(a: Tensor, b: Tensor) -> Tensor:
    """Σ_i (Σ_t b_it a_itᵀ)² = Σ_i Σ_st (b_is b_it) (a_is a_it)ᵀ: one product over images and pairs of positions."""
    s, t = torch.tril_indices(a.shape[2], a.shape[2], device=a.device)
    times = torch.where(s == t, 1, 2).to(b.dtype)[:, None]
    a, b = a[:, :, s] * a[:, :, t], b[:, :, s] * b[:, :, t] * times
    products = b.movedim(0, 1).flatten(1, 2).mT @ a.movedim(0, 1).flatten(1, 2)
    return products.clamp_(min=0)  # rounding can leave what cancels below zero
