"""Networks in which every weight that acts is a parameter of its own.

A mask on a parameter that the forward pass makes a weight of prunes nothing: weight normalisation divides by the norm
again. So what evaluation mode makes of such parameters is put in their place, which leaves the network's function the
same; and PyTorch's attention, whose projections are no layers, becomes one in which they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.overrides import TorchFunctionMode

from prunetransfer.models.attention import Attention, rewritable

PRUNABLE_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
FUNCTIONS = {nn.Conv1d: F.conv1d, nn.Conv2d: F.conv2d, nn.Conv3d: F.conv3d, nn.Linear: F.linear}
# What PyTorch's hooks that recompute a tensor before each forward pass are, and what ends each.
HOOKS: dict[type, tuple[str, Callable[[nn.Module, str], Any]]] = {
    WeightNorm: ("name", remove_weight_norm),
    SpectralNorm: ("name", remove_spectral_norm),
    prune.BasePruningMethod: ("_tensor_name", prune.remove),
}


def plain(network: nn.Module) -> nn.Module:
    """The network, in evaluation mode, changed in place to one of the same function whose weights are parameters.

    Replaced are PyTorch's parametrisations, its hooks of weight_norm, spectral_norm and pruning, layers that make
    another weight of theirs (standardised convolutions), and `nn.MultiheadAttention`.
    """
    network.eval()
    for module in list(network.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
                if name in module._buffers:  # what becomes of frozen parameters
                    module.register_parameter(name, nn.Parameter(module._buffers.pop(name), requires_grad=False))
        for hook in list(module._forward_pre_hooks.values()):
            for kind, (attribute, remove) in HOOKS.items():
                if isinstance(hook, kind):
                    remove(module, getattr(hook, attribute))
    return _replaced(network, {})


@torch.no_grad()
def _replaced(module: nn.Module, done: dict[nn.Module, nn.Module]) -> nn.Module:
    """A module's plain equal, or itself with its children replaced; a module in two places is replaced by one."""
    if module not in done:
        done[module] = module
        for name, child in module._modules.items():
            if child is not None:
                module._modules[name] = _replaced(child, done)
        if rewritable(module):
            done[module] = Attention(module)
        elif (kind := _layer_kind(module)) and type(module).forward is not kind.forward:
            done[module] = _plain_layer(module, kind)
    return done[module]


def _layer_kind(module: nn.Module) -> type[nn.Module] | None:
    return next((kind for kind in PRUNABLE_LAYERS if isinstance(module, kind)), None)


class _Acting(TorchFunctionMode):
    """Keeps the weights that a layer's function is given."""

    def __init__(self, function: Callable):
        super().__init__()
        self.function, self.weights = function, []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is self.function:
            self.weights.append(args[1] if len(args) > 1 else kwargs["weight"])
        return function(*args, **(kwargs or {}))


def _plain_layer(layer: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """The layer without what makes another weight of its own, where one of plain layers is proven to be its equal."""
    inputs = list(_inputs(layer))
    try:
        with _Acting(FUNCTIONS[kind]) as acting:
            outputs = [layer(x) for x in inputs]
    except Exception:  # a forward that wants more than one input: the trial says what the network cannot do
        return layer
    weight, *others = acting.weights or [layer.weight]
    if weight is layer.weight or weight.shape != layer.weight.shape or len(others) != len(inputs) - 1:
        return layer
    for candidate in _candidates(layer, kind):
        candidate.weight, candidate.bias = nn.Parameter(weight.clone()), layer.bias
        candidate.eval()
        if all(_equal(candidate(x), output) for x, output in zip(inputs, outputs, strict=True)):
            return candidate
    return layer


def _candidates(layer: nn.Module, kind: type[nn.Module]) -> Iterator[nn.Module]:
    if kind is nn.Linear:
        yield nn.Linear(layer.in_features, layer.out_features, device="meta")
        return
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
    settings = {name: getattr(layer, name) for name in names}
    yield kind(**settings, padding_mode=layer.padding_mode, device="meta")
    if kind is nn.Conv2d:
        from timm.layers import Conv2dSame  # pads as TensorFlow does, by the size of the image

        yield Conv2dSame(**settings, device="meta")


def _inputs(layer: nn.Module) -> Iterator[Tensor]:
    """Noise of two sizes, which a layer that pads by the size of what it reads treats differently."""
    generator = torch.Generator().manual_seed(0)
    for more in (1, 2):
        if isinstance(layer, nn.Linear):
            shape = [more, layer.in_features]
        else:
            spans = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
            shape = [more, layer.in_channels, *(more + s * span for s, span in zip(layer.stride, spans, strict=True))]
        yield torch.randn(shape, generator=generator).to(layer.weight)


def _equal(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-4, atol=1e-5)
