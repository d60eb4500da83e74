"""The trial of a backbone: what is taken, what is found out about it, and what is refused in which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from unit.networks import BACKBONES, MEAN, STD, head_of, images_of

from prunetransfer.evaluation.grid import Target, evaluate_masks
from prunetransfer.models.backbones import Backbone, build_backbone, build_network, extract_features, load_backbone
from prunetransfer.models.trial import TrialError, check_pruned, settle_layout, try_backbone
from prunetransfer.pruning.masks import write_mask
from prunetransfer.storage.artifacts import write_tensors

SIZE = 8
IMAGES = images_of(4).images
SETTINGS = {"options": {}, "mean": MEAN, "std": STD, "exclude": []}


class Network(nn.Module):
    """A convolution and a linear layer with a forward pass of its own."""

    def __init__(self, compute: Callable[[Network, Tensor], Any]):
        super().__init__()
        self.compute = compute
        self.conv, self.last, self.aux = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 5), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Any:
        return self.compute(self, self.conv(x).relu())


def pooled(net: Network, x: Tensor) -> Tensor:
    return net.last(x.mean((2, 3)))


# Factories by the name that an architecture calls them: `unit.test_trial:NAME`.
def plain_net() -> nn.Module:
    return Network(pooled)


def normed() -> nn.Module:
    network = Network(pooled)
    network.conv, network.last = (parametrizations.weight_norm(layer) for layer in (network.conv, network.last))
    return network


def viewed() -> nn.Module:
    network = Network(lambda net, x: net.last(x.view(len(x), -1)))
    network.last = nn.Linear(6 * SIZE * SIZE, 5)
    return network


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attention, self.out = nn.Conv2d(3, 8, 4, 4), nn.MultiheadAttention(8, 2), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).permute(2, 0, 1)
        return self.out((x + self.attention(x, x, x, need_weights=False)[0]).mean(0))


class Strayed(nn.Module):
    """State that is drawn at each building and that no checkpoint holds."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner = nn.Flatten(), nn.Sequential(nn.Linear(192, 6), Scale())

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.first(x))


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.by = torch.randn(6)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.by


def tried(factory: str) -> tuple[nn.Module, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The network as a checkpoint leaves it, the config's entry, and the tensors and facts of the trial."""
    settings = SETTINGS | {"architecture": f"{__name__}:{factory}"}
    torch.manual_seed(3)
    given = build_network(settings["architecture"], {}).eval()
    tensors, facts = try_backbone(given, settings, SIZE)
    torch.manual_seed(3)
    return build_network(settings["architecture"], {}).eval(), settings, tensors, facts


@pytest.mark.parametrize("factory", ["plain_net", "normed", "viewed", "Attending"])
def test_the_loaded_backbone_computes_what_the_network_did(factory, tmp_path):
    network, settings, tensors, facts = tried(factory)
    write_tensors(tmp_path / "weights", tensors, {"trial": facts})
    backbone = load_backbone(settings, tmp_path / "weights", torch.device("cpu"))
    with torch.no_grad():
        pixels = (IMAGES.permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        expected = network(pixels.contiguous())
    torch.testing.assert_close(extract_features(backbone, IMAGES), expected, rtol=1e-4, atol=1e-5)
    check = {name: torch.rand(w.shape) < 0.1 for name, w in backbone.prunable().items()}
    backbone.prune(check)
    check_pruned(backbone, check, IMAGES[:1])
    assert not torch.allclose(extract_features(backbone, IMAGES), expected, rtol=0.1)


@pytest.mark.parametrize(("factory", "contiguous"), [("plain_net", False), ("viewed", True)])
def test_the_layout_is_the_one_that_the_network_can_read(factory, contiguous):
    assert tried(factory)[-1]["contiguous"] == contiguous


def test_a_network_that_computes_another_thing_in_channels_last_is_kept_contiguous():
    network = Network(lambda net, x: torch.as_strided(x, (len(x), 12), (384, 1)))
    backbone = Backbone(network, MEAN, STD)
    backbone.lay_out(contiguous=True)
    expected = backbone(IMAGES)
    settle_layout(backbone, IMAGES, expected)
    assert backbone.contiguous
    assert torch.equal(backbone(IMAGES), expected)


def test_what_is_left_out_is_named_with_its_reason(capsys):
    *_, facts = tried("plain_net")
    rows = {row["parameter"]: row for row in facts["parameters"]}
    assert {name: row["left_out"] for name, row in rows.items()} == {
        "conv.weight": None,
        "conv.bias": "no matrix of a linear layer, convolution or product",
        "last.weight": None,
        "last.bias": "no matrix of a linear layer, convolution or product",
        "aux.weight": "no feature depends on it",
        "aux.bias": "no feature depends on it",
    }
    assert rows["aux.weight"]["numbers"] == 12 and not rows["aux.weight"]["matrix"]
    said = capsys.readouterr().out
    assert "2 prunable weights hold 192 of the network's 217 parameters" in said
    assert "not prunable: aux.weight (12), no feature depends on it" in said


def test_excluded_weights_are_matrices_that_are_left_out():
    settings = SETTINGS | {"architecture": f"{__name__}:plain_net", "exclude": ["last*"]}
    _, facts = try_backbone(build_network(settings["architecture"], {}), settings, SIZE)
    (row,) = [row for row in facts["parameters"] if row["parameter"] == "last.weight"]
    assert row["matrix"] and row["left_out"] == "excluded"


def test_attention_in_one_raw_parameter_is_prunable():
    *_, facts = tried("Attending")
    numbers = {row["parameter"]: row["numbers"] for row in facts["parameters"] if row["matrix"]}
    assert numbers == {"embed.weight": 384, "out.weight": 40} | {
        f"attention.{name}.weight": 64 for name in ("q", "k", "v", "out_proj")
    }


@pytest.mark.parametrize("kind", BACKBONES)
def test_usual_networks_are_taken_as_they_are(kind):
    settings = BACKBONES[kind]
    network = build_network(settings["architecture"], settings["options"])
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    tensors, facts = try_backbone(network, settings, SIZE)
    assert not facts["contiguous"]
    found = {row["parameter"] for row in facts["parameters"] if row["matrix"]}
    assert found == build_backbone(settings).prunable().keys()
    assert tensors.keys() == before.keys()
    assert all(torch.equal(torch.from_numpy(tensors[name]), before[name]) for name in before)


# --- what is refused --------------------------------------------------------------------------------------------------


def counted(net: Network, x: Tensor) -> Tensor:
    net.calls = getattr(net, "calls", 0) + 1
    return pooled(net, x) * net.calls


REFUSED: dict[str, tuple[Callable[[Network, Tensor], Any], str]] = {
    "tuple": (lambda net, x: (pooled(net, x), None), r"makes a tuple of \[2, 5\], a NoneType of images \[2, 3, 8, 8\]"),
    "dict": (lambda net, x: {"out": pooled(net, x), "aux": x}, r"a dict of out \[2, 5\], aux \[2, 6, 8, 8\]"),
    "unpooled": (lambda net, x: x, r"\[2, 6, 8, 8\] .*not pooled.*\.mean\(\(2, 3\)\)"),
    "tokens": (lambda net, x: x.flatten(2).mT, r"\[2, 64, 6\] .*a vector a token"),
    "one vector for all": (lambda net, x: x.mean((0, 2, 3)), r"makes \[6\] of images \[2, 3, 8, 8\]"),
    "squeezed": (lambda net, x: pooled(net, x).squeeze(), r"makes \[5\] of images \[1, 3, 8, 8\].*also of one image"),
    "half": (lambda net, x: pooled(net, x).half(), r"of type torch\.float16; .*of type torch\.float32"),
    "not a number": (lambda net, x: pooled(net, x) / 0 * 0, "not all finite"),
    "another size": (lambda net, x: net.last(x.flatten(1)), r"layer last fails .*3, 8, 8\] \(RuntimeError: .*mat1"),
    "dropout": (lambda net, x: F.dropout(pooled(net, x)), "two passes.*the network's own forward pass draws at random"),
    "counts": (counted, "two passes.*own forward pass draws at random in evaluation mode, or keeps count"),
    "made anew": (lambda net, x: F.linear(x.mean((2, 3)), net.last.weight.softmax(1)), r"of last\.weight;"),
}


@pytest.mark.parametrize(("compute", "complaint"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_taken_is_answered_in_words(compute, complaint, monkeypatch):
    monkeypatch.setattr(f"{__name__}.pooled_or_not", lambda: Network(compute), raising=False)
    settings = SETTINGS | {"architecture": f"{__name__}:pooled_or_not"}
    with pytest.raises(TrialError, match=complaint) as error:
        try_backbone(Network(compute), settings, SIZE)
    assert "what is taken" in str(error.value) or "return a network" in str(error.value) or "finite" in str(error.value)


def test_the_innermost_layer_that_draws_is_named():
    class Drops(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x, 0.2)

    inner = nn.Sequential(nn.ReLU(inplace=True), Drops())
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 5), inner, nn.Linear(5, 4))
    with pytest.raises(TrialError, match=r"layer 2\.1 draws at random"):
        try_backbone(network, SETTINGS, SIZE)


def test_state_that_is_not_registered_is_found_by_building_again():
    with pytest.raises(TrialError, match=r"built again .*layer inner\.1 has state that is neither"):
        tried("Strayed")


def test_a_network_of_one_channel_is_told_so():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(TrialError, match=r"layer 0, which reads 1 channels, fails on images \[2, 3, 8, 8\]"):
        try_backbone(network, SETTINGS, SIZE)


def test_a_network_without_matrices_is_refused():
    with pytest.raises(TrialError, match="no weight may be pruned"):
        try_backbone(nn.Flatten(), SETTINGS | {"architecture": "torch.nn:Flatten"}, SIZE)


def test_lazy_modules_and_what_is_no_module_are_refused(tmp_path: Path):
    file = tmp_path / "own.py"
    file.write_text(
        "from torch import nn\ndef lazy(): return nn.Sequential(nn.Flatten(), nn.LazyLinear(5))\n"
        "def half(): return nn.Linear(2, 2).half()\ndef function(): return print\n"
    )
    with pytest.raises(ValueError, match=r"1\.weight, 1\.bias is known only after a forward pass .*torch\.zeros"):
        build_network(f"{file}:lazy", {})
    with pytest.raises(ValueError, match=r"makes a builtin_function_or_method; what is taken is a torch\.nn\.Module"):
        build_network(f"{file}:function", {})
    assert build_network(f"{file}:half", {}).weight.dtype == torch.float32


def test_a_mask_that_was_not_applied_is_found_out():
    backbone = build_backbone(BACKBONES["conv"])
    mask = {name: torch.zeros_like(weight, dtype=torch.bool) for name, weight in backbone.prunable().items()}
    with pytest.raises(TrialError, match=r"conv1\.weight, conv2\.weight, fc\.weight"):
        check_pruned(backbone, mask, IMAGES[:1])


def test_an_evaluation_stops_where_the_mask_does_not_act(tmp_path: Path):
    torch.manual_seed(0)
    backbone = Backbone(Network(REFUSED["made anew"][0]), MEAN, STD, matrices=["conv.weight", "last.weight"]).eval()
    keep = {name: np.zeros(weight.shape, bool) for name, weight in backbone.prunable().items()}
    write_mask(tmp_path / "mask", keep, {"sparsity": 0.9})
    with pytest.raises(TrialError, match=r"other weights of last\.weight;"):
        evaluate_masks(backbone, Target(head_of(backbone), images_of(30), {"zero_shot": {}}), [tmp_path / "mask"])
