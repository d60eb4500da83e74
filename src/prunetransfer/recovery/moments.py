"""Give every output channel of the pruned layers the mean and the variance that it has in the dense backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from prunetransfer.layers.lockstep import Layer, run, walk
from prunetransfer.layers.rules import Convolution, Use
from prunetransfer.models.backbones import Backbone
from prunetransfer.recovery.batchnorm import batchnorms
from prunetransfer.recovery.case import Case
from prunetransfer.settings.registry import recovery
from prunetransfer.settings.types import Unlabelled

# A channel whose deviation is below this share of the dense one is dead: what is left of it is not blown up. Nor is one
# that is dead in the dense backbone alone damped by more than this.
DEAD = 1e-3


@recovery(labels=False)
def moments(case: Case, *, samples: Unlabelled = 256) -> None:
    """Every output channel of every prunable layer gets back the mean and variance that it has in the dense backbone on
    the same source images, without their labels.

    They are matched on `samples` images of the case, layer by layer in forward order.
    Over images and positions a channel has mean μ and deviation σ, in the dense backbone (d) and in the pruned one as
    it is by then (p). Where a batchnorm reads the layer's output, its statistics μ_r and σ_r² (ε included) become
    σ_r'² = σ_r² σ_p²/σ_d² and μ_r' = μ_p − (μ_d − μ_r) σ_r'/σ_r; else the rows of the weight are scaled by σ_d/σ_p and
    the bias b becomes μ_d − (μ_p − b) σ_d/σ_p. A layer without either, or whose bias is computed in each pass, cannot
    shift its channels: its rows are scaled so that the mean square, less the bias, is the dense one. REPAIR (Jordan et
    al. 2023, arXiv 2211.08403) does this to merged models.
    """
    images = case.images(samples)
    norms = norms_of(case.backbone, images[:1])

    def match(layer: Layer) -> None:
        mean_p, var_p = _moments(layer.use, (part.forward() for part in layer.parts))
        mean_d, var_d = _moments(layer.use, (part.expected() for part in layer.parts))
        gain = _gain(var_d, var_p)
        if layer.name in norms:
            norm = norms[layer.name]
            mean, variance, epsilon = norm.running_mean, norm.running_var, norm.eps
            old = (variance + epsilon).sqrt()
            variance.copy_((old.square() / gain.square() - epsilon).clamp(min=0))
            mean.copy_(mean_p - (mean_d - mean) * (variance + epsilon).sqrt() / old)
            return
        weight, bias = layer.use.weight, layer.use.bias
        if isinstance(bias, nn.Parameter):
            bias.copy_(mean_d - (mean_p - bias) * gain)
        else:
            shift = 0 if bias is None else bias
            gain = _gain(var_d + (mean_d - shift).square(), var_p + (mean_p - shift).square())
        weight.mul_(gain.view(-1, *[1] * (weight.dim() - 1)))

    walk(case.dense, case.backbone, images, match)


def _moments(use: Use, outputs: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance [o] of each output channel, over the chunks of the images together."""
    channel = 1 if isinstance(use, Convolution) else -1
    rows = (output.movedim(channel, -1).flatten(0, -2) for output in outputs)
    found = [(len(some), *torch.var_mean(some, 0, correction=0)) for some in rows]
    count = sum(length for length, _, _ in found)
    mean = sum(length / count * part for length, _, part in found)
    variance = sum(length / count * (part + (m - mean).square()) for length, part, m in found)
    return mean, variance


def _gain(wanted: Tensor, found: Tensor) -> Tensor:
    """√(wanted / found), DEAD at least, so that nothing becomes infinite; 1 for what is dead."""
    return torch.where(found > DEAD**2 * wanted, (wanted / found).clamp(min=DEAD**2), 1).sqrt()


@torch.no_grad()
def norms_of(backbone: Backbone, images: Tensor) -> dict[str, _BatchNorm]:
    """Name → the batchnorm that reads what the layer writes, as seen on a few images."""
    written, found = [], {}

    def remember(name: str, use: Use, forward: Callable[[], Tensor]) -> Tensor:
        written.append((name, forward()))
        return written[-1][1]

    def look(norm: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        found.update({name: norm for name, output in written if output is inputs[0]})

    hooks = [norm.register_forward_pre_hook(look) for norm in batchnorms(backbone)]
    run(backbone, images, remember)
    for hook in hooks:
        hook.remove()
    return found
