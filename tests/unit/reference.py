"""What the tests of per-sample gradients share: one ordinary backward pass an image, and the comparison with it."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from prunetransfer.curvature import gradients
from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone

CLASSES = 4
FLOAT32, FLOAT64 = 1e-4, 1e-10  # the relative errors of a layer that are allowed

Tensors = dict[str, Tensor]


def redrawn(network: nn.Module) -> nn.Module:
    """Every tensor that an initialisation set to a constant drawn anew: a branch scaled by zero has no gradient."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and (tensor == tensor.flatten()[0]).all():
            noise = 0.3 * torch.randn(tensor.shape, generator=generator)
            tensor.copy_(1 + noise.abs() if name.endswith("running_var") else tensor + noise)
    return network


def images_of(size: int, count: int = 3, seed: int = 1) -> Tensor:
    return torch.randint(256, (count, size, size, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def backbone_of(network: nn.Module) -> Backbone:
    return Backbone(redrawn(network), [0.5] * 3, [0.25] * 3).eval()


def head_of(backbone: Backbone, images: Tensor) -> Head:
    with torch.no_grad():
        width = backbone(images[:1]).shape[1]
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(width, CLASSES, generator=generator) / width**0.5
    return Head(weight, torch.randn(CLASSES, generator=generator), 1.0).to(backbone.device, backbone.mean.dtype)


def seed_of(outputs: Tensor, labels: Tensor) -> list[Tensor]:
    """A vector that no loss gives, to be propagated back."""
    return [torch.randn(outputs.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(outputs)]


def one_at_a_time(backbone: Backbone, head: Head, images: Tensor) -> Tensors:
    """Name → [n, *shape]: an ordinary backward pass from each image's outputs."""
    weights = backbone.prunable()
    (seed,) = seed_of(torch.empty(len(images), CLASSES, dtype=backbone.mean.dtype), torch.empty(0))
    rows = []
    for image, v in zip(images, seed, strict=True):
        outputs = head(backbone(image[None]))[0]
        rows.append(torch.autograd.grad(outputs @ v, list(weights.values()), materialize_grads=True))
    return {name: torch.stack(column) for name, column in zip(weights, zip(*rows, strict=True), strict=True)}


def computed(backbone: Backbone, head: Head, images: Tensor) -> tuple[dict[str, gradients.LayerGradient], list[str]]:
    """The engine's gradients on one batch, and the weights that it says it takes image by image."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        (found,) = gradients.layer_gradients(backbone, head, images, torch.zeros(len(images)).long(), seed_of)
    said = [str(warning.message) for warning in said if "image by image" in str(warning.message)]
    slow = [name for message in said for name in message.rpartition(": ")[2].split(", ")]
    return found, slow


def relative_error(found: Tensor, expected: Tensor) -> float:
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


def assert_exact(network: nn.Module, size: int = 8, slow: list[str] | None = None) -> None:
    """Gradients and their sums of squares are right in both types, and `slow` alone are taken image by image.

    In float32, an activation within rounding of a kink (a ReLU's zero, two equal maxima of a window) may lie on its
    other side, where the gradient differs. It does so for some images only: float32 is given three draws of them.
    """
    backbone = backbone_of(network)
    assert max(errors_of(backbone, torch.float64, images_of(size), slow or [])) < FLOAT64
    draws = (errors_of(backbone, torch.float32, images_of(size, seed=seed), slow or []) for seed in (1, 2, 3))
    assert any(max(errors) < FLOAT32 for errors in draws)


def errors_of(backbone: Backbone, dtype: torch.dtype, images: Tensor, slow: list[str]) -> list[float]:
    """Each weight's relative errors (its gradients, their squares summed) in `dtype`, the expected ones in float64."""
    backbone = backbone.double()
    expected = one_at_a_time(backbone, head_of(backbone, images), images)
    backbone = backbone.to(dtype)
    found, said = computed(backbone, head_of(backbone, images), images)
    assert said == slow
    assert list(found) == list(expected)
    errors = []
    for name, rows in expected.items():
        assert rows.norm() > 0, name  # which would prove nothing
        assert found[name].materialise().dtype == found[name].square_sum().dtype == dtype
        assert found[name].materialise().shape == rows.shape
        assert (found[name].square_sum() >= 0).all(), name
        errors.append(relative_error(found[name].materialise(), rows))
        errors.append(relative_error(found[name].square_sum(), rows.square().sum(0)))
    return errors
