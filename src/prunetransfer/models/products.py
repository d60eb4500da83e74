"""Which parameters of a network are matrices that multiply activations on the way to the features.

Seen in a forward pass, whatever modules there are: a function that multiplies is given a weight, the weight comes from
parameters, and the features come from what the function writes. Where a tensor comes from is followed from operation to
operation by the memory that each reads and writes, so that views, changes in place, detached tensors and
`torch.no_grad` hide nothing.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Functions that are given a weight as such, by the place of the argument or by the names of the arguments.
WEIGHT_AT = {
    F.linear: 1,
    F.bilinear: 2,
    **{getattr(F, f"conv{way}{axes}d"): 1 for way in ("", "_transpose") for axes in (1, 2, 3)},
}
WEIGHTS_OF_ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj_weight")
# Functions whose factors are alike: one that comes from parameters alone is a matrix where another is an activation.
PRODUCTS = {"matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "addmm", "baddbmm", "einsum", "tensordot"}

IMAGES = object()  # what comes from the images


@dataclass(eq=False)
class Product:
    """A weight that a function was given: as it was (`tensor`), and the names of the parameters that it comes from."""

    tensor: Tensor
    names: tuple[str, ...]


class _Origins(TorchDispatchMode):
    """Where each tensor comes from: of each piece of memory the parameters' names, `IMAGES`, and products."""

    def __init__(self, origins: Mapping[int, Collection[Any]]):
        super().__init__()
        self.of = {place: frozenset(found) for place, found in origins.items()}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        read = {_place(x): self(x) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        written = function(*args, **kwargs)
        # A constant that the forward pass makes lies in memory of which nothing is known but what lay there before.
        origin = frozenset() if function is torch.ops.aten.lift_fresh.default else frozenset().union(*read.values())
        for x in tree_leaves(written):
            if isinstance(x, Tensor):
                # Memory that was read is a view's or was changed in place; other memory is new, whatever lay there.
                self.of[_place(x)] = origin
        return written

    def __call__(self, x: Tensor) -> frozenset:
        return self.of.get(_place(x), frozenset()) if x.numel() else frozenset()

    def add(self, written: Any, origin: Any) -> None:
        for x in tree_leaves(written):
            if isinstance(x, Tensor):
                self.of[_place(x)] = self(x) | {origin}


def _place(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()


class _Products(TorchFunctionMode):
    """Notes every weight that a multiplying function is given."""

    def __init__(self, origins: _Origins):
        super().__init__()
        self.origins = origins

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        found = [
            Product(tensor, tuple(sorted(name for name in self.origins(tensor) if isinstance(name, str))))
            for tensor in self._weights(function, args, kwargs)
        ]
        written = function(*args, **kwargs)
        for product in found:
            if product.names:
                self.origins.add(written, product)
        return written

    def _weights(self, function: Callable, args: tuple, kwargs: dict[str, Any]) -> Iterator[Tensor]:
        if function in WEIGHT_AT:
            at = WEIGHT_AT[function]
            given = [args[at] if len(args) > at else kwargs["weight"]]
            yield from (x for x in given if IMAGES not in self.origins(x))
        elif function is F.multi_head_attention_forward:
            given = inspect.signature(function).bind(*args, **kwargs).arguments
            yield from (given[name] for name in WEIGHTS_OF_ATTENTION if given.get(name) is not None)
        elif getattr(function, "__name__", "") in PRODUCTS:
            factors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
            activations = [IMAGES in self.origins(x) for x in factors]
            for x, is_activation in zip(factors, activations, strict=True):
                # What was itself multiplied by a weight, and reads no image, is a query or a memory that was learned.
                learned = any(isinstance(origin, Product) for origin in self.origins(x))
                if x.dim() > 1 and any(activations) and not is_activation and not learned:
                    yield x


@torch.no_grad()
def products(
    network: Callable[[Tensor], Tensor], parameters: Mapping[str, nn.Parameter], images: Tensor
) -> tuple[list[Product], set[str]]:
    """The products that the network's features of these images depend on, and the parameters that they depend on."""
    start: dict[int, set] = defaultdict(set)
    for name, parameter in parameters.items():
        start[_place(parameter)].add(name)
    start[_place(images)].add(IMAGES)
    origins = _Origins(start)
    with origins, _Products(origins):
        features = network(images)
    found = origins(features)
    return [x for x in found if isinstance(x, Product)], {x for x in found if isinstance(x, str)}


def matrices(found: Collection[Product], parameters: Mapping[str, nn.Parameter]) -> set[str]:
    """The parameters that are the weights of these products, not what scales or shifts one.

    Where a weight comes from several parameters these are those of as many numbers as it has, or all that are joined
    in it.
    """
    names = set()
    for product in found:
        sizes = {name: parameters[name].numel() for name in product.names if parameters[name].dim() > 1}
        whole = {name for name, size in sizes.items() if size >= product.tensor.numel()}
        names |= whole or set(sizes)
    return names


def unreached(found: Collection[Product], parameters: Mapping[str, Tensor], keep: Mapping[str, Tensor]) -> set[str]:
    """The masked parameters whose zeros do not reach a weight that is multiplied with: it is made anew from them.

    parameters: as they are now, masked; keep: name → bool tensor, False where the parameter was set to zero.
    """
    seen, failed = set(), set()
    for product in found:
        masked, tensor = [name for name in product.names if name in keep], product.tensor
        if len(masked) == 1 and _place(tensor) == _place(parameters[masked[0]]):
            tensor = parameters[masked[0]]  # of which it may be a part
        in_place = all(keep[name].shape == tensor.shape and not tensor[~keep[name]].any() for name in masked)
        # Turned or joined: as many zeros have to arrive as were set.
        acts = in_place or (tensor == 0).sum() >= sum((~keep[name]).sum() for name in masked)
        seen.update(masked)
        failed.update(() if acts else masked)
    return (keep.keys() - seen) | failed
