"""Which parameters are matrices that multiply activations, as a forward pass shows, and whether masks reach them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from unit.networks import backbone_of
from unit.networks import images_of as images_of_tiny

from prunetransfer.models.products import matrices, products, unreached

IMAGES = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """Parameters and layers of any names, and a forward pass of its own over flat images [n, 48]."""

    def __init__(self, forward: Callable[[Network, Tensor], Tensor], **members: nn.Module | Tensor):
        super().__init__()
        for name, member in members.items():
            setattr(self, name, nn.Parameter(member) if isinstance(member, Tensor) else member)
        self.compute = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(self, x.flatten(1))


def found(network: nn.Module) -> set[str]:
    parameters = dict(network.named_parameters())
    return matrices(products(network, parameters, IMAGES)[0], parameters)


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def test_layers_that_no_feature_depends_on_are_none():
    def forward(net: Network, x: Tensor) -> Tensor:
        net.dropped(x)
        return net.used(x)

    layers = {name: nn.Linear(48, 5) for name in ("used", "dropped", "idle")}
    assert found(Network(forward, **layers)) == {"used.weight"}


MULTIPLY = {
    "@": lambda w, x: x @ w,
    "matmul": lambda w, x: torch.matmul(x, w),
    "method": lambda w, x: x.matmul(other=w),
    "einsum": lambda w, x: torch.einsum("nc,co->no", x, w),
    "addmm": lambda w, x: torch.addmm(torch.zeros(6), x, w),
    "from the left": lambda w, x: (w.T @ x.T).T,
    "linear": lambda w, x: F.linear(x, w.T),
    "linear, copied": lambda w, x: F.linear(input=x, weight=w.T.contiguous()),
    "linear, in parts": lambda w, x: torch.cat([F.linear(x, part) for part in w.T.chunk(3)], 1),
    "conv": lambda w, x: F.conv2d(x[:, :, None, None], w.T[:, :, None, None]).flatten(1),
    "transposed conv": lambda w, x: F.conv_transpose1d(x[:, :, None], w[:, :, None]).flatten(1),
    "baddbmm": lambda w, x: torch.baddbmm(torch.zeros(1, 1, 6), x[None, :1], w[None])[0],
}


@pytest.mark.parametrize("multiply", MULTIPLY.values(), ids=MULTIPLY.keys())
def test_a_raw_parameter_that_multiplies_is_one_however_it_is_called(multiply):
    def forward(net: Network, x: Tensor) -> Tensor:
        return (multiply(net.w, x) + net.shift) * net.scale

    assert found(Network(forward, w=drawn(48, 6), shift=drawn(1, 6), scale=drawn(1, 6))) == {"w"}


def test_attention_in_raw_parameters():
    def forward(net: Network, x: Tensor) -> Tensor:
        tokens = x.unflatten(1, (6, 8)) + net.position
        return net.attention(tokens, tokens, tokens)[0].mean(1)

    for option in ({}, {"add_bias_kv": True}, {"kdim": 8, "vdim": 8}):
        network = Network(forward, position=drawn(6, 8), attention=nn.MultiheadAttention(8, 2, **option))
        assert found(network) == {"attention.in_proj_weight", "attention.out_proj.weight"}


def test_a_query_that_is_learned_is_an_embedding_and_its_projection_a_matrix():
    def forward(net: Network, x: Tensor) -> Tensor:
        x = x.unflatten(1, (6, 8))
        return ((net.q(net.query) @ net.k(x).mT).softmax(-1) @ net.v(x)).flatten(1)

    layers = {name: nn.Linear(8, 8) for name in "qkv"}
    assert found(Network(forward, query=drawn(1, 2, 8), **layers)) == {"q.weight", "k.weight", "v.weight"}


def test_what_is_detached_or_changed_in_place_is_followed():
    def forward(net: Network, x: Tensor) -> Tensor:
        with torch.no_grad():
            stem = net.stem(x)
        kept = torch.zeros(len(x), 7)
        kept[:, :5] = stem.detach().relu_()
        kept[:, 5:].add_(x @ net.w.data)
        return net.last(kept)

    network = Network(forward, stem=nn.Linear(48, 5), w=drawn(48, 2), last=nn.Linear(7, 4))
    assert found(network) == {"stem.weight", "w", "last.weight"}


def test_a_scale_of_a_weight_is_none_and_parts_of_one_are():
    def forward(net: Network, x: Tensor) -> Tensor:
        return F.linear(x, net.w * net.gain) + F.linear(x, torch.cat([net.upper, net.lower]))

    network = Network(forward, w=drawn(6, 48), gain=drawn(6, 1), upper=drawn(2, 48), lower=drawn(4, 48))
    assert found(network) == {"w", "upper", "lower"}


def test_those_of_usual_networks_are_all_convolutions_and_linear_layers():
    for kind in ("conv", "vit"):
        backbone = backbone_of(kind)
        parameters = dict(backbone.network.named_parameters())
        seen, _ = products(backbone, parameters, images_of_tiny(1).images)
        assert matrices(seen, parameters) == backbone.prunable().keys()


MADE = {
    "as it is": (lambda w, x: F.linear(x, w), True),
    "turned": (lambda w, x: F.linear(x, w.flip(0).contiguous()), True),
    "scaled": (lambda w, x: F.linear(x, w / 2), True),
    "joined": (lambda w, x: F.linear(x, torch.cat([w, w])), True),
    "shifted": (lambda w, x: F.linear(x, w - w.mean()), False),
    "turned and shifted": (lambda w, x: x @ (w - w.mean()).T, False),
    "softmax": (lambda w, x: F.linear(x, w.softmax(1)), False),
    "once as it is, once not": (lambda w, x: F.linear(x, w) + F.linear(x, w.exp()), False),
    "a product": (lambda w, x: F.linear(x, w @ w.T @ w), False),
}


@pytest.mark.parametrize(("make", "reached"), MADE.values(), ids=MADE.keys())
def test_masks_that_do_not_reach_what_acts_are_found_out(make, reached):
    network = Network(lambda net, x: make(net.w, net.first(x)), first=nn.Linear(48, 8), w=drawn(8, 8))
    parameters = dict(network.named_parameters())
    keep = {name: drawn(*parameters[name].shape) > 0 for name in ("first.weight", "w")}
    with torch.no_grad():
        for name, kept in keep.items():
            parameters[name].mul_(kept)
    seen, _ = products(network, parameters, IMAGES)
    assert unreached(seen, parameters, keep) == (set() if reached else {"w"})


def test_a_weight_that_is_the_product_of_two_is_reached_by_both():
    network = Network(lambda net, x: F.linear(x, net.w * net.m), w=drawn(5, 48), m=drawn(5, 48).abs())
    parameters = dict(network.named_parameters())
    keep = {"w": drawn(5, 48) > 0, "m": drawn(5, 48) > 1}
    with torch.no_grad():
        for name, kept in keep.items():
            parameters[name].mul_(kept)
    seen, _ = products(network, parameters, IMAGES)
    assert matrices(seen, parameters) == {"w", "m"}
    assert unreached(seen, parameters, keep) == set()


def test_a_constant_of_the_forward_pass_is_no_parameter():
    def forward(net: Network, x: Tensor) -> Tensor:
        for _ in range(50):
            (net.shift * 1.0).sum()
            x = x @ torch.tensor([[1.0, 0.5], [0.5, 1.0]]) if x.shape[1] == 2 else net.first(x)
        return x

    assert found(Network(forward, shift=drawn(2, 2), first=nn.Linear(48, 2))) == {"first.weight"}


def test_a_mask_of_what_enters_nothing_or_was_not_applied_does_not_act():
    network = Network(lambda net, x: net.used(x), used=nn.Linear(48, 5), idle=nn.Linear(48, 5))
    parameters = dict(network.named_parameters())
    seen, _ = products(network, parameters, IMAGES)
    keep = {f"{name}.weight": torch.zeros(5, 48, dtype=torch.bool) for name in ("used", "idle")}
    assert unreached(seen, parameters, keep) == {"used.weight", "idle.weight"}
