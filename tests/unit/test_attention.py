"""Attention of plain layers against the module of PyTorch that it stands for."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from unit.networks import images_of

from prunetransfer.datasets.splits import Split
from prunetransfer.models.attention import Attention
from prunetransfer.models.backbones import Backbone
from prunetransfer.models.plain import plain
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.reconstruct import reconstruct

N, QUERIES, KEYS, WIDTH, HEADS = 3, 5, 7, 8, 2
GENERATOR = torch.Generator().manual_seed(0)
LATER = torch.ones(QUERIES, KEYS, dtype=torch.bool).triu(1)
PADDED = torch.tensor([[False] * 5 + [True] * 2, [False] * 7, [False] * 6 + [True]])
EACH_HEAD = torch.rand(N * HEADS, QUERIES, KEYS, generator=GENERATOR, dtype=torch.float64)


def attention(**options: Any) -> nn.MultiheadAttention:
    torch.manual_seed(0)
    module = nn.MultiheadAttention(WIDTH, HEADS, dtype=torch.float64, **options).eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


@pytest.mark.parametrize(
    "call",
    [
        {},
        {"need_weights": False},
        {"average_attn_weights": False},
        {"attn_mask": LATER},
        {"attn_mask": LATER, "is_causal": True, "need_weights": False},
        {"attn_mask": LATER.double().neg(), "need_weights": False},
        {"attn_mask": EACH_HEAD},
        {"key_padding_mask": PADDED},
        {"key_padding_mask": PADDED, "attn_mask": EACH_HEAD > 0.8, "need_weights": False},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "options", [{}, {"batch_first": True}, {"bias": False}, {"kdim": 6, "vdim": 4, "batch_first": True}], ids=str
)
def test_outputs_and_attention_are_those_of_the_module_replaced(options, call):
    module = attention(**options)
    inputs = noise(N, QUERIES, WIDTH), noise(N, KEYS, module.kdim), noise(N, KEYS, module.vdim)
    if not module.batch_first:
        inputs = tuple(x.transpose(0, 1) for x in inputs)
    for found, expected in zip(Attention(module)(*inputs, **call), module(*inputs, **call), strict=True):
        assert (found is None) == (expected is None)
        if expected is not None:
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_one_sequence_without_a_batch():
    module, x = attention(batch_first=True), noise(QUERIES, WIDTH)
    for found, expected in zip(Attention(module)(x, x, x), module(x, x, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_every_weight_is_a_linear_layers():
    module = attention()
    layers = dict(Attention(module).named_children())
    assert list(layers) == ["q", "k", "v", "out_proj"]
    assert all(type(layer) is nn.Linear for layer in layers.values())
    found = torch.cat([layers[name].weight for name in "qkv"])
    assert torch.equal(found, module.in_proj_weight)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
def test_encoder_layers_do_not_pass_it_over(batch_first, norm_first):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, batch_first=batch_first, norm_first=norm_first)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).double().eval()
    x = noise(N, QUERIES, WIDTH)
    with torch.no_grad():
        expected = encoder(x)
        torch.testing.assert_close(plain(encoder)(x), expected, rtol=1e-10, atol=1e-10)
        encoder.layers[1].self_attn.v.weight.zero_()
        encoder.layers[1].self_attn.v.bias.zero_()
        assert not torch.allclose(encoder(x), expected)
    assert all(isinstance(layer.self_attn, Attention) for layer in encoder.layers)


@pytest.mark.parametrize("option", ["add_bias_kv", "add_zero_attn"])
def test_attention_that_has_no_equal_stays(option):
    module = attention(**{option: True})
    assert plain(nn.Sequential(module))[0] is module
    with pytest.raises(ValueError, match="add_bias_kv or add_zero_attn"):
        Attention(module)


class Tokens(nn.Module):
    """Patches of an image, which attend to each other, tokens first."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attention = nn.Conv2d(3, WIDTH, 4, 4), nn.MultiheadAttention(WIDTH, HEADS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).permute(2, 0, 1)
        return self.attention(x, x, x)[0].mean(0)


def test_recoveries_see_its_projections_as_layers():
    torch.manual_seed(0)
    dense = Backbone(plain(Tokens()), [0.5] * 3, [0.25] * 3).double()
    pruned, images = copy.deepcopy(dense), images_of(6).images
    mask = {name: torch.rand(weight.shape) < 0.5 for name, weight in dense.prunable().items()}
    pruned.prune(mask)
    before = {name: weight.detach().clone() for name, weight in pruned.prunable().items()}
    split = Split(images, None, ())
    reconstruct(Case(pruned, dense, mask, None, split, 0), samples=6, positions=4, ridge=1e-3)
    assert list(before) == ["embed.weight", *(f"attention.{name}.weight" for name in ("q", "k", "v", "out_proj"))]
    for name, weight in pruned.prunable().items():
        assert not torch.equal(weight, before[name]), name
        assert not weight[~mask[name]].any(), name
