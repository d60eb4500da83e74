"""Per-sample gradients against one ordinary backward pass an image, for all kinds of layers and ways of using them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from unit.reference import (
    CLASSES,
    FLOAT32,
    FLOAT64,
    assert_exact,
    backbone_of,
    computed,
    head_of,
    images_of,
    one_at_a_time,
    relative_error,
)

from prunetransfer.curvature import gradients
from prunetransfer.layers import rules as layers


class Network(nn.Module):
    """Layers, and a function that uses them on images [n, 3, h, w] and returns [n, ...]."""

    def __init__(self, function: Callable[..., Tensor], **modules: nn.Module):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x).flatten(1)


# --- kinds of layers --------------------------------------------------------------------------------------------------

CONVOLUTIONS = {
    "plain": {},
    "pointwise": {"kernel_size": 1},
    "wide": {"kernel_size": (3, 2), "padding": (1, 0)},
    "stride": {"stride": 2, "padding": 1},
    "stride that leaves a rest": {"stride": 3},
    "strides": {"stride": (2, 1), "padding": (0, 2)},
    "dilation": {"dilation": 2, "padding": 2},
    "all": {"stride": 2, "padding": (2, 1), "dilation": (1, 2), "bias": False},
    "same": {"padding": "same"},
    "same, even": {"kernel_size": 2, "padding": "same", "dilation": (1, 3)},
    "valid": {"padding": "valid"},
    "circular": {"padding": 1, "padding_mode": "circular"},
    "patches": {"kernel_size": 2, "stride": 2},
    "one position": {"kernel_size": 8},
    "four positions": {"kernel_size": 4, "stride": 4},
}


@pytest.fixture
def small_pieces(monkeypatch):
    """Weights and parts of images as many as a real backbone has."""
    monkeypatch.setitem(layers.AT_ONCE, "cpu", 100)
    monkeypatch.setattr(layers, "LARGE_WEIGHT", 100)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("groups", [1, 2, 6], ids=["dense", "grouped", "depthwise"])
@pytest.mark.parametrize("options", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolution(small_pieces, options, groups):
    first = nn.Conv2d(3, 6, 1)
    last = nn.Conv2d(6, 12, **{"kernel_size": 3, **options}, groups=groups)
    assert_exact(nn.Sequential(first, nn.Tanh(), last, nn.Tanh(), nn.Flatten()))


@pytest.mark.parametrize("groups", [1, 2, 4], ids=["dense", "grouped", "depthwise"])
@pytest.mark.parametrize(("convolution", "size"), [(nn.Conv1d, (64,)), (nn.Conv3d, (4, 4, 4))], ids=["1d", "3d"])
def test_convolution_over_other_axes(convolution, size, groups):
    def forward(net: Network, x: Tensor) -> Tensor:
        return net.last(net.first(x.flatten(2).unflatten(2, size)).tanh())

    first, last = convolution(3, 4, 1), convolution(4, 8, 3, stride=2, padding=1, groups=groups)
    assert_exact(Network(forward, first=first, last=last))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_convolution_in_any_memory_layout(layout):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 6, 3, padding=1, groups=2), nn.Flatten())
    assert_exact(network.to(memory_format=layout))


@pytest.mark.parametrize("positions", [1, 2, 4, 5, 64])
def test_linear_on_tokens(small_pieces, positions):
    def forward(net: Network, x: Tensor) -> Tensor:
        return net.last(net.first(x.flatten(2)[..., :positions].mT).tanh())

    assert_exact(Network(forward, first=nn.Linear(3, 20), last=nn.Linear(20, 7)))


def test_linear_on_images_windows_and_transposed_tokens():
    def forward(net: Network, x: Tensor) -> Tensor:
        x = net.pixels(x.permute(0, 2, 3, 1)).tanh()  # [n, h, w, c]
        x = x.unflatten(1, (2, 4)).unflatten(3, (2, 4)).transpose(2, 3).flatten(0, 2).flatten(1, 2)
        x = net.windows(x).tanh().unflatten(0, (-1, 4)).flatten(1, 2)  # from [4 windows of each image, 16, c]
        return net.tokens(x.mT).tanh()

    assert_exact(Network(forward, pixels=nn.Linear(3, 4), windows=nn.Linear(4, 5), tokens=nn.Linear(64, 3)))


# --- ways of using them -----------------------------------------------------------------------------------------------


def test_a_module_that_is_used_several_times(small_pieces):
    def forward(net: Network, x: Tensor) -> Tensor:
        x = net.conv(net.conv(x).tanh()).tanh() + net.conv(x)
        return net.linear(net.linear(x.flatten(2)).tanh())

    assert_exact(Network(forward, conv=nn.Conv2d(3, 3, 3, padding=1), linear=nn.Linear(64, 64)))


@pytest.mark.parametrize("groups", [1, 3], ids=["dense", "depthwise"])
def test_modules_that_share_a_weight(groups):
    one = nn.Conv2d(3, 3, 3, groups=groups)
    other = nn.Conv2d(3, 3, 3, stride=2, dilation=2, padding=1, groups=groups)
    other.weight = one.weight
    network = Network(lambda net, x: net.other(net.one(x).tanh()), one=one, other=other)
    assert list(backbone_of(network).prunable()) == ["one.weight"]
    assert_exact(network)


def test_activations_in_place():
    first, last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
    assert_exact(nn.Sequential(first, nn.LeakyReLU(inplace=True), last, nn.LeakyReLU(inplace=True), nn.Flatten()))


def test_frozen_weights():
    backbone, images = backbone_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten())), images_of(8)
    head = head_of(backbone, images)
    expected = one_at_a_time(backbone, head, images)
    found, _ = computed(backbone.requires_grad_(False), head, images)
    assert relative_error(found["0.weight"].materialise(), expected["0.weight"]) < FLOAT32


def test_a_weight_that_another_than_its_module_uses():
    def forward(net: Network, x: Tensor) -> Tensor:
        x = F.conv2d(x, net.conv.weight, stride=2).tanh()
        return F.linear(input=x.flatten(1), weight=net.linear.weight)

    assert_exact(Network(forward, conv=nn.Conv2d(3, 4, 3), linear=nn.Linear(36, 5)))


@pytest.mark.parametrize(
    "use",
    [
        lambda x, w: F.linear(x, w) + F.linear(x, 1e-4 * w),  # too little for a comparison of gradients to show
        lambda x, w: x @ w.T,
        lambda x, w: F.linear(x, w / w.std(1, keepdim=True)),
        lambda x, w: F.linear(x, w) * w.sum(),
    ],
    ids=["also scaled", "transposed", "standardised", "also summed"],
)
def test_a_weight_that_no_rule_fits_is_taken_image_by_image(use):
    network = Network(
        lambda net, x: use(net.first(x.flatten(1)).tanh(), net.last.weight),
        first=nn.Linear(192, 6),
        last=nn.Linear(6, 5),
    )
    assert_exact(network, slow=["last.weight"])


@pytest.mark.parametrize(
    ("there", "back"),
    [
        (lambda x: x.transpose(0, 1), lambda x: x.transpose(0, 1)),
        (lambda x: x.transpose(0, 1).flatten(0, 1), lambda x: x.unflatten(0, (64, -1)).transpose(0, 1)),
        (lambda x: x.flip(0), lambda x: x.flip(0)),
    ],
    ids=["positions first", "positions first, as rows", "reversed"],
)
def test_rows_that_do_not_lie_image_by_image_are_found_out(there, back):
    def forward(net: Network, x: Tensor) -> Tensor:
        return back(net.layer(there(x.flatten(2).mT))).tanh()

    assert_exact(Network(forward, layer=nn.Linear(3, 4)), slow=["layer.weight"])


def test_a_layer_that_reads_no_image_is_taken_image_by_image():
    def forward(net: Network, x: Tensor) -> Tensor:
        return net.last(x.flatten(1)) * net.table(torch.linspace(0, 1, 12).view(6, 2).to(x)).tanh().sum()

    assert_exact(Network(forward, last=nn.Linear(192, 5), table=nn.Linear(2, 3)), slow=["table.weight"])


def test_attention_whose_weight_no_module_reads():
    def forward(net: Network, x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT
        return net.attention(tokens, tokens, tokens)[0]

    network = Network(forward, attention=nn.MultiheadAttention(3, 1, batch_first=True))
    assert_exact(network, slow=["attention.out_proj.weight"])


def test_a_weight_that_is_used_behind_its_module():
    last = nn.Linear(6, 5)
    kept = last.weight
    network = Network(lambda net, x: F.linear(net.first(x.flatten(1)).tanh(), kept), first=nn.Linear(192, 6), last=last)
    assert_exact(network)


def test_a_rule_that_noise_does_not_prove_is_not_trusted():
    def forward(net: Network, x: Tensor) -> Tensor:
        dark = (x.flatten(1).amax(1, keepdim=True) < 0).to(x)
        return net.always(x.flatten(1)) + dark * net.dark(x.flatten(1).flip(0)).flip(0)  # not image by image

    network = Network(forward, always=nn.Linear(192, 5), dark=nn.Linear(192, 5))
    backbone, images = backbone_of(network).double(), images_of(8) // 4
    head = head_of(backbone, images)
    expected = one_at_a_time(backbone, head, images)
    found, slow = computed(backbone, head, images)
    assert slow == ["dark.weight"]
    assert relative_error(found["dark.weight"].materialise(), expected["dark.weight"]) < FLOAT64


def test_weights_without_gradient():
    def forward(net: Network, x: Tensor) -> Tensor:
        with torch.no_grad():
            shift = net.cut(x.flatten(1))
        net.dropped(x.flatten(1))
        return net.used(x.flatten(1)) + shift

    layers = {name: nn.Linear(192, 5) for name in ("used", "cut", "dropped", "idle")}
    backbone, images = backbone_of(Network(forward, **layers)), images_of(8)
    found, slow = computed(backbone, head_of(backbone, images), images)
    assert slow == []
    for name in ("cut", "dropped", "idle"):
        assert torch.equal(found[f"{name}.weight"].materialise(), torch.zeros(3, 5, 192))
        assert torch.equal(found[f"{name}.weight"].square_sum(), torch.zeros(5, 192))


# --- grad_outputs -----------------------------------------------------------------------------------------------------


def test_every_seed_gives_gradients_of_every_weight():
    def forward(net: Network, x: Tensor) -> Tensor:
        return F.linear(net.conv(x).tanh().flatten(1), net.linear.weight / 2)

    network = Network(forward, conv=nn.Conv2d(3, 4, 3), linear=nn.Linear(144, 5))
    backbone, images = backbone_of(network).double(), images_of(8, count=5)
    head, labels = head_of(backbone, images), torch.arange(5) % CLASSES

    def unit_vectors(outputs: Tensor, labels: Tensor) -> list[Tensor]:
        assert not outputs.requires_grad
        return [F.one_hot((labels + k) % CLASSES, CLASSES).to(outputs) for k in range(CLASSES)]

    def ones(outputs: Tensor, labels: Tensor) -> list[Tensor]:
        return [torch.ones_like(outputs)]

    with pytest.warns(UserWarning, match=r"image by image, as no rule fits how they are used: linear\.weight$"):
        found = list(gradients.layer_gradients(backbone, head, images, labels, unit_vectors))
        (every,) = gradients.layer_gradients(backbone, head, images, labels, ones)
    assert len(found) == CLASSES
    for name, g in every.items():
        assert relative_error(sum(batch[name].materialise() for batch in found), g.materialise()) < FLOAT64
