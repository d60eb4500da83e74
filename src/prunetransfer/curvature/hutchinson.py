"""The diagonal of the exact Hessian, estimated from its products with random vectors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone

DRAWS = 16
# Each image holds its graph of the forward and the backward pass.
IMAGES_AT_ONCE = 16


def hessian_diagonal(
    backbone: Backbone,
    head: Head,
    images: Tensor,
    labels: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    draws: int,
    seed: int,
) -> dict[str, Tensor]:
    """Name → estimate of ∂²L/∂w_j², L the mean loss of m images: the mean over `draws` probes z of z ⊙ Hz.

    images: uint8 [m, h, w, 3]; labels: int64 [m]; loss: outputs and labels → [m]. z = ±1 at random, so E[z_j (Hz)_j] =
    H_jj with variance Σ_k≠j H_jk² a probe (Hutchinson 1989; Bekas, Kokiopoulou, Saad 2007). Every batch of the images
    has probes of its own, so that their errors average out. The Hessian is that of all prunable weights together, and
    includes the network's own second derivatives: unlike the other curvatures it may be negative, as may the estimate
    of what is not. All that lies off the diagonal is noise, which only draws reduce, with their square root: on a
    ResNet-20 and 300 images, 16 draws left a relative error of 2.6 and 42% of the estimates negative, 64 draws 1.3 and
    37%.
    """
    backbone.eval()
    weights = {name: weight.detach().requires_grad_() for name, weight in backbone.prunable().items()}
    sums = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    generator = torch.Generator().manual_seed(seed)  # of the CPU, so that the probes do not depend on the device
    for part in torch.arange(len(labels)).split(IMAGES_AT_ONCE):
        value = loss(_outputs(backbone, head, weights, images[part]), labels[part].to(backbone.device)).sum()
        gradients = torch.autograd.grad(value, list(weights.values()), create_graph=True, materialize_grads=True)
        for _ in range(draws):
            probes = [_signs(g, generator) for g in gradients]
            along = sum((g * z).sum() for g, z in zip(gradients, probes, strict=True))
            products = torch.autograd.grad(along, list(weights.values()), retain_graph=True, materialize_grads=True)
            for total, z, product in zip(sums.values(), probes, products, strict=True):
                total.addcmul_(z, product)
    return {name: total / (len(labels) * draws) for name, total in sums.items()}


def _outputs(backbone: Backbone, head: Head, weights: dict[str, Tensor], images: Tensor) -> Tensor:
    swapped = {f"network.{name}": weight for name, weight in weights.items()}
    # Fused attention cannot be differentiated twice.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        return head(functional_call(backbone, swapped, (images.to(backbone.device),)))


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """±1 with equal chance, in the shape and type of `like`."""
    bits = torch.randint(2, like.shape, generator=generator, dtype=like.dtype)
    return bits.mul_(2).sub_(1).to(like.device)
