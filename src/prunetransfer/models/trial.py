"""One trial of a backbone before anything is computed with it: is it what a study can take, and what may be pruned?

It runs in the weights job, on two images of noise, so that a network of another form is answered at once and in words;
what it finds goes with the weights file to all later stages.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from prunetransfer.models.backbones import Backbone, build_backbone
from prunetransfer.models.plain import plain
from prunetransfer.models.products import matrices, products, unreached

TAKEN = "what is taken is a module that maps normalised images [n, 3, h, w] to features [n, d] (docs/adding.md)"
# How far two passes of one function may be apart, relative to the norm: the layout of memory changes the rounding.
TOLERANCE = 1e-3
# Why a parameter is not prunable.
UNSEEN = "no feature depends on it"
NO_MATRIX = "no matrix of a linear layer, convolution or product"
EXCLUDED = "excluded"


class TrialError(ValueError):
    """A network that a study cannot take; the message says what was found and what would be taken."""


def try_backbone(
    network: nn.Module, settings: Mapping[str, Any], size: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors of the plain network (changed in place) and the facts that `load_backbone` reads.

    network: what `build_network` made of the settings (those of `build_backbone`), its checkpoint loaded; size: pixels
    of an image's side. Facts: `contiguous`, the layout that it needs; `parameters`, one row each. Raises TrialError for
    a network of other inputs or outputs, one that draws at random in evaluation mode or has state that no checkpoint
    holds, and one whose masks would not reach the weights that act.
    """
    given = Backbone(network.eval(), settings["mean"], settings["std"])
    images = given.noise((2, size, size, 3), torch.Generator().manual_seed(0))
    given.lay_out(contiguous=True)
    expected = features_of(given, images)
    features_of(given, images[:1])
    if not _alike(features_of(given, images), expected):
        raise TrialError(
            f"two passes over the same images differ: {_first_difference(given, given, images)} draws at random in "
            "evaluation mode, or keeps count; what is taken computes the same each time (training=self.training)"
        )
    backbone = Backbone(plain(network), settings["mean"], settings["std"], settings["exclude"])
    settle_layout(backbone, images, expected)
    state = backbone.network.state_dict()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        again = build_backbone(settings, contiguous=backbone.contiguous)
    again.network.load_state_dict(state)
    if not _alike(features_of(again, images), expected):
        raise TrialError(
            f"built again with the same weights, the network computes something else: "
            f"{_first_difference(backbone, again, images)} has state that is neither parameter nor buffer of a "
            "checkpoint; register it (register_buffer), or draw it from a generator with a fixed seed"
        )
    facts = {"contiguous": backbone.contiguous, "parameters": _parameters(again, images[:1])}
    return {name: tensor.numpy() for name, tensor in state.items()}, facts


@torch.no_grad()
def features_of(backbone: Backbone, images: Tensor) -> Tensor:
    """Features [n, d] of images uint8 [n, h, w, 3]. Raises TrialError, saying what was found, for anything else."""
    shape = list(backbone.inputs(images).shape)
    with _followed(backbone.network) as inside:
        try:
            found = backbone(images)
        except Exception as error:
            name, layer = inside[-1] if inside else ("", backbone.network)
            channels = getattr(layer, "in_channels", None)
            reads = f", which reads {channels} channels," if channels else ""
            what = f"{type(error).__name__}: {str(error).strip()}"
            raise TrialError(f"{_named(name)}{reads} fails on images {shape} ({what}); {TAKEN}") from error
    n, what = len(images), f"the network makes {_described(found)} of images {shape}"
    if not isinstance(found, Tensor):
        raise TrialError(f"{what}; {TAKEN}: return the one tensor that holds the features")
    if found.dim() == 4 and len(found) == n:
        raise TrialError(f"{what}, not pooled; {TAKEN}: take their mean over the positions, .mean((2, 3))")
    if found.dim() == 3 and len(found) == n:
        raise TrialError(f"{what}, a vector a token; {TAKEN}: return one of them, [:, 0], or their mean, .mean(1)")
    if found.dim() != 2 or len(found) != n:
        raise TrialError(f"{what}; {TAKEN}, also of one image")
    if found.dtype != torch.float32:
        raise TrialError(f"{what}, of type {found.dtype}; {TAKEN}, of type torch.float32")
    if not found.isfinite().all():
        raise TrialError(f"{what} that are not all finite")
    return found


def settle_layout(backbone: Backbone, images: Tensor, expected: Tensor) -> None:
    """Lay the backbone out channels last, which is faster, or contiguous, where it fails or errs else.

    Some networks can only read the latter: `x.view(n, -1)` after a convolution. expected: the features of these images
    in contiguous layout. Raises TrialError if neither layout gives them.
    """
    with contextlib.suppress(TrialError, RuntimeError):
        backbone.lay_out(contiguous=False)
        if _alike(features_of(backbone, images), expected):
            return
    backbone.lay_out(contiguous=True)
    if not _alike(features_of(backbone, images), expected):
        raise TrialError(
            "with plain parameters in place of the weights that it makes anew in each pass (weight normalisation, "
            "attention), the network computes something else; let the factory return one of plain weights"
        )


def check_pruned(backbone: Backbone, mask: Mapping[str, Tensor], images: Tensor) -> None:
    """Raise TrialError, naming the weights, unless what the layers are given is zero where the mask says so.

    mask: name → bool tensor, by which the backbone was pruned; images: uint8 [n, h, w, 3], one is enough.
    """
    parameters = dict(backbone.network.named_parameters())
    found, _ = products(backbone.eval(), parameters, images.to(backbone.device))
    if names := unreached(found, parameters, mask):
        raise TrialError(
            f"pruning does not reach what multiplies the activations: the forward pass makes other weights of "
            f"{', '.join(sorted(names))}; let the factory return a network whose weights act as they are, or name "
            "these in `exclude`"
        )


def _parameters(backbone: Backbone, images: Tensor) -> list[dict[str, Any]]:
    """A row a parameter: name, numbers, whether it is a matrix that multiplies activations, why it is not prunable.

    Prunes half of each prunable weight, to see that a mask acts.
    """
    parameters = dict(backbone.network.named_parameters())
    found, read = products(backbone, parameters, images)
    backbone.matrices = matrices(found, parameters)
    prunable = backbone.prunable()
    if not prunable:
        raise TrialError(f"no weight may be pruned: no matrix of the network multiplies activations; {TAKEN}")
    generator = torch.Generator().manual_seed(0)
    mask = {name: torch.rand(weight.shape, generator=generator) < 0.5 for name, weight in prunable.items()}
    backbone.prune(mask)
    check_pruned(backbone, mask, images)
    rows = []
    for name, parameter in parameters.items():
        matrix = name in backbone.matrices
        reason = (EXCLUDED if matrix else NO_MATRIX if name in read else UNSEEN) if name not in prunable else None
        rows.append({"parameter": name, "numbers": parameter.numel(), "matrix": matrix, "left_out": reason})
    numbers, of = (sum(x.numel() for x in some.values()) for some in (prunable, parameters))
    print(f"{len(prunable)} prunable weights hold {numbers} of the network's {of} parameters")
    for row in rows:
        if row["left_out"] and parameters[row["parameter"]].dim() > 1:
            print(f"not prunable: {row['parameter']} ({row['numbers']}), {row['left_out']}")
    return rows


def _alike(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and bool((found - expected).norm() <= TOLERANCE * expected.norm())


@contextlib.contextmanager
def _followed(network: nn.Module) -> Iterator[list[tuple[str, nn.Module]]]:
    """The layers that a forward pass is in, the innermost last; after an error those that it happened in."""
    inside: list[tuple[str, nn.Module]] = []

    def enter(layer: nn.Module, inputs: Any, name: str) -> None:
        inside.append((name, layer))

    def leave(layer: nn.Module, inputs: Any, output: Any) -> None:
        inside.pop()

    with _hooked(network, enter, leave):
        yield inside


@contextlib.contextmanager
def _hooked(network: nn.Module, before: Any, after: Any) -> Iterator[None]:
    """Call `before(layer, inputs, name)` and `after(layer, inputs, output)` around each layer's forward pass."""
    handles = []
    for name, layer in network.named_modules():
        if not isinstance(layer, torch.jit.ScriptModule):  # which takes no hooks
            handles.append(layer.register_forward_pre_hook(lambda layer, x, name=name: before(layer, x, name)))
            handles.append(layer.register_forward_hook(after))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _first_difference(one: Backbone, other: Backbone, images: Tensor) -> str:
    """The innermost layer that makes different outputs of the same inputs in the two, in words."""
    passes = []
    for backbone in (one, other):
        inside: list[tuple[str, Any]] = []
        passed: list[tuple[str, Any, Any]] = []

        def before(layer: nn.Module, inputs: Any, name: str, inside: list = inside) -> None:
            inside.append((name, _copied(inputs)))

        def after(layer: nn.Module, inputs: Any, output: Any, inside: list = inside, passed: list = passed) -> None:
            passed.append((*inside.pop(), _copied(output)))

        with _hooked(backbone.network, before, after):
            backbone(images)
        passes.append(passed)
    for (name, *first), (_, *second) in zip(*passes, strict=False):
        if _same(first[0], second[0]) and not _same(first[1], second[1]):
            return _named(name)
    return _named("")


def _copied(values: Any) -> Any:
    return tree_map_only(Tensor, torch.clone, values)


def _same(one: Any, other: Any) -> bool:
    pairs = zip(tree_leaves(one), tree_leaves(other), strict=False)
    return all(_alike(a.float(), b.float()) for a, b in pairs if isinstance(a, Tensor) and isinstance(b, Tensor))


def _named(layer: str) -> str:
    return f"layer {layer}" if layer else "the network's own forward pass"


def _described(found: Any) -> str:
    """What a network returned: shapes, and what holds them."""
    if isinstance(found, Tensor):
        return str(list(found.shape))
    if isinstance(found, Mapping):
        return f"a {type(found).__name__} of {', '.join(f'{key} {_described(value)}' for key, value in found.items())}"
    if isinstance(found, tuple | list):
        return f"a {type(found).__name__} of {', '.join(map(_described, found))}"
    return f"a {type(found).__name__}"
