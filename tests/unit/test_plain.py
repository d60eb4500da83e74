"""Plain networks compute what they did, and a mask on their weights is a mask on what acts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm.layers
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from prunetransfer.models.plain import plain


class Doubled(nn.Module):
    """A parametrisation that knows no way back."""

    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight - weight.mean()


class Standardised(nn.Conv2d):
    """Weight standardisation as people write it."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Cosine(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, weight=F.normalize(self.weight), bias=self.bias)


def parametrised(layer: nn.Module) -> nn.Module:
    parametrize.register_parametrization(layer, "weight", Doubled())
    parametrize.register_parametrization(layer, "bias", Doubled())
    return layer


def pruned_already(layer: nn.Module) -> nn.Module:
    prune.random_unstructured(layer, "weight", 0.3)
    prune.random_unstructured(layer, "weight", 0.3)
    return prune.random_unstructured(layer, "bias", 0.3)


def frozen(layer: nn.Module) -> nn.Module:
    return parametrizations.weight_norm(layer.requires_grad_(False))


WRAPS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "weight_norm": parametrizations.weight_norm,
    "weight_norm, frozen": frozen,
    "weight_norm, old": weight_norm,
    "weight_norm of all, old": lambda layer: weight_norm(layer, dim=None),
    "spectral_norm": parametrizations.spectral_norm,
    "spectral_norm, old": spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "one's own": parametrised,
    "prune": pruned_already,
    "two": lambda layer: prune.l1_unstructured(weight_norm(layer, "weight"), "bias", 0.5),
}
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "std": lambda: timm.layers.StdConv2d(4, 6, 3, stride=2),
    "std, same": lambda: timm.layers.StdConv2dSame(4, 6, 3, stride=2),
    "std, same, padded before": lambda: timm.layers.StdConv2dSame(4, 6, 3, padding=1),
    "scaled std": lambda: timm.layers.ScaledStdConv2d(4, 6, 3, groups=2, dilation=2),
    "scaled std, same": lambda: timm.layers.ScaledStdConv2dSame(4, 6, 3, stride=2, dilation=2),
    "one's own": lambda: Standardised(4, 6, (3, 1), padding=(1, 0), bias=False),
}


def assert_plain(network: nn.Module, images: Tensor) -> None:
    """Its function and every acting weight stay, and each acting weight is a parameter that a mask reaches."""
    with torch.no_grad():
        network.eval()
        expected = network(images)
        found = plain(network)
        torch.testing.assert_close(found(images), expected, rtol=1e-5, atol=1e-6)
        layers = [layer for layer in found.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        assert layers
        for layer in layers:
            assert not parametrize.is_parametrized(layer) and not layer._forward_pre_hooks
            assert isinstance(layer.weight, nn.Parameter)
            assert {"weight", "bias"} >= dict(layer.named_parameters()).keys()
            layer.weight.zero_()
            if layer.bias is not None:
                layer.bias.zero_()
        assert not found(images).any()


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS.keys())
def test_recomputed_weights_are_folded(wrap):
    torch.manual_seed(0)
    first, last = wrap(nn.Conv2d(3, 4, 3)), wrap(nn.Linear(4, 5))
    assert_plain(nn.Sequential(first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last), torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
def test_layers_that_make_another_weight_are_replaced(layer):
    torch.manual_seed(0)
    for size in (9, 10):
        assert_plain(nn.Sequential(layer()), torch.randn(2, 4, size, size))


def test_a_linear_layer_that_makes_another_weight_is_replaced():
    torch.manual_seed(0)
    assert_plain(nn.Sequential(Cosine(4, 5)), torch.randn(2, 4))


def test_what_is_folded_has_the_weights_that_a_checkpoint_brought():
    torch.manual_seed(0)
    trained, fresh = (nn.Sequential(Standardised(3, 4, 3), nn.Flatten()) for _ in range(2))
    images = torch.rand(2, 3, 5, 5)
    expected = trained(images)
    fresh.load_state_dict(plain(trained).state_dict() | {"0.bias": trained[0].bias})
    loaded = plain(nn.Sequential(Standardised(3, 4, 3), nn.Flatten()))
    loaded.load_state_dict(trained.state_dict())
    torch.testing.assert_close(loaded(images), expected)


def test_a_layer_without_a_plain_equal_stays():
    class Odd(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, self.weight.flip(0).abs(), self.bias).abs() + x.mean()

    layer = Odd(3, 3, 1)
    assert plain(nn.Sequential(layer))[0] is layer


def test_layers_that_use_their_weight_as_it_is_stay():
    network = timm.create_model("mobilenetv2_035", pad_type="same", num_classes=0)
    before = dict(network.named_modules())
    assert any(isinstance(layer, timm.layers.Conv2dSame) for layer in before.values())
    after = dict(plain(network).named_modules())
    assert before.keys() == after.keys()
    assert all(after[name] is layer for name, layer in before.items())


def test_a_layer_in_two_places_stays_one():
    attention, norm = nn.MultiheadAttention(8, 2), Standardised(3, 4, 3)
    network = plain(nn.ModuleList([attention, nn.ModuleList([attention, norm]), norm]))
    assert network[0] is network[1][0] and network[2] is network[1][1]
    assert network[0] is not attention and network[2] is not norm
