"""Backbones: what is built, what may be pruned, and that images are normalised as the pretraining had them."""

from __future__ import annotations

import colorsys
import sys

import pytest
import torch
import torchvision
from torch import nn
from torchvision.transforms import v2 as transforms
from unit.networks import CONV, MEAN, STD, VIT, backbone_of, images_of, state_of

from prunetransfer.models.backbones import (
    Backbone,
    build_backbone,
    build_network,
    extract_features,
    load_backbone,
)
from prunetransfer.models.checkpoints import convert
from prunetransfer.storage.artifacts import write_tensors

VIT_LAYERS = ["patch_embed.proj", *(f"blocks.0.{name}" for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"))]
RESNET = {
    **CONV,
    "architecture": "resnet18",
    "options": {"layers": [1, 1, 1, 1], "channels": [4, 4, 4, 8]},
}


def wrapped(network: nn.Module, exclude: tuple[str, ...] = ()) -> Backbone:
    return Backbone(network, MEAN, STD, exclude)


# --- what may be pruned -----------------------------------------------------------------------------------------------


def test_every_convolution_and_linear_weight_is_prunable():
    network = nn.Sequential(
        nn.Conv1d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv3d(2, 2, 1), nn.Linear(2, 2), nn.BatchNorm2d(2), nn.LayerNorm(2)
    )
    network.append(nn.Embedding(2, 2))
    weights = wrapped(network).prunable()
    assert list(weights) == ["0.weight", "1.weight", "2.weight", "3.weight"]
    assert all(weights[f"{k}.weight"] is network[k].weight for k in range(4))


def test_prunable_weights_of_a_conv_net():
    assert list(backbone_of("conv").prunable()) == ["conv1.weight", "conv2.weight", "fc.weight"]


def test_prunable_weights_of_a_vit_hold_the_fc_of_its_mlp_but_no_head_norm_or_embedding():
    assert list(backbone_of("vit").prunable()) == [f"{name}.weight" for name in VIT_LAYERS]


def test_the_classifier_of_a_timm_architecture_is_never_there():
    backbone = build_backbone(RESNET)
    assert not any(name.startswith("fc") for name in backbone.prunable())
    assert extract_features(backbone, images_of(2).images).shape == (2, 8)


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        (["conv1.weight"], ["conv2.weight", "fc.weight"]),
        (["conv*"], ["fc.weight"]),
        (["conv?.weight", "fc*"], []),
        (["*1*"], ["conv2.weight", "fc.weight"]),
    ],
)
def test_exclude_patterns_take_weights_out(exclude, left):
    assert list(build_backbone({**CONV, "exclude": exclude}).prunable()) == left


def test_a_pattern_that_matches_nothing_is_refused():
    backbone = build_backbone({**CONV, "exclude": ["conv1*", "stem*"]})
    with pytest.raises(ValueError, match=r"'stem\*' matches none .* conv1\.weight, conv2\.weight, fc\.weight"):
        backbone.prunable()


def test_a_pattern_that_names_no_prunable_weight_is_refused():
    with pytest.raises(ValueError, match=r"'bn1\.weight' matches none"):
        build_backbone({**CONV, "exclude": ["bn1.weight"]}).prunable()


def test_shared_weights_are_listed_once():
    layer = nn.Linear(4, 4)
    twin = nn.Linear(4, 4)
    twin.weight = layer.weight
    assert list(wrapped(nn.Sequential(layer, twin, layer, nn.Linear(4, 4))).prunable()) == ["0.weight", "3.weight"]


# --- pruning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["conv", "vit"])
def test_prune_zeroes_what_the_mask_drops_and_nothing_else(kind):
    backbone = backbone_of(kind)
    before = state_of(backbone)
    mask = {name: torch.rand(weight.shape) < 0.5 for name, weight in backbone.prunable().items()}
    backbone.prune(mask)
    for name, tensor in backbone.network.state_dict().items():
        expected = torch.where(mask[name], before[name], 0) if name in mask else before[name]
        assert torch.equal(tensor, expected), name


def test_a_mask_of_other_weights_is_refused():
    backbone = backbone_of("conv")
    before = state_of(backbone)
    mask = {name: torch.zeros_like(weight, dtype=torch.bool) for name, weight in backbone.prunable().items()}
    mask["head.weight"] = mask.pop("fc.weight")
    with pytest.raises(ValueError, match=r"fc\.weight, head\.weight"):
        backbone.prune(mask)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.network.state_dict().items())


# --- architectures ----------------------------------------------------------------------------------------------------


def test_a_factory_of_a_file_gets_the_options(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "from torch import nn\n"
        "def net(width, **more):\n"
        "    assert more in ({}, {'num_classes': 3}), more\n"
        "    return nn.Linear(width, more.get('num_classes', 7))\n"
    )
    assert build_network(f"{file}:net", {"width": 5}).weight.shape == (7, 5)
    assert build_network(f"{file}:net", {"width": 5}, num_classes=3).weight.shape == (3, 5)


def test_a_factory_file_may_be_called_as_a_module_is(tmp_path):
    (tmp_path / "colorsys.py").write_text("from torch import nn\nnet = nn.Identity\n")
    assert isinstance(build_network(f"{tmp_path}/colorsys.py:net", {}), nn.Identity)
    assert sys.modules["colorsys"] is colorsys


def test_a_factory_of_a_package_is_found():
    assert type(build_network("unit.networks:ConvNet", {})).__name__ == "ConvNet"


def test_timm_gets_the_options():
    assert build_network("resnet18", RESNET["options"]).num_features == 8
    assert build_network("resnet18", RESNET["options"], num_classes=4).fc.weight.shape == (4, 8)


@pytest.mark.parametrize(
    ("architecture", "complaint"),
    [
        ("resnet19x", "Unknown model"),
        ("no_such_package.nets:net", "no_such_package"),
        ("unit.networks:DeepNet", "DeepNet"),
        ("torchvision:resnet19", "resnet19"),
        ("no/such/file.py:net", "no/such/file.py"),
    ],
)
def test_an_unknown_architecture_is_one_clear_message(architecture, complaint):
    with pytest.raises(ValueError) as error:
        build_network(architecture, {})
    assert str(error.value).startswith(f"architecture '{architecture}': ")
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "options", "classifier", "width"),
    [
        ("resnet18", {}, "fc", 512),
        ("squeezenet1_1", {}, "classifier.1", 512),
        ("mobilenet_v3_small", {}, "classifier.3", 1024),
        ("convnext_tiny", {}, "classifier.2", 768),
        ("shufflenet_v2_x0_5", {}, "fc", 1024),
    ],
)
def test_torchvision_networks_end_in_what_their_classifier_reads(name, options, classifier, width):
    torch.manual_seed(0)
    whole = torchvision.models.get_model(name, **options).eval()
    network = build_network(f"torchvision:{name}", options).eval()
    dropped = {f"{classifier}.weight", f"{classifier}.bias"}
    assert whole.state_dict().keys() - network.state_dict().keys() == dropped
    convert(whole.state_dict(), network)
    read = []
    whole.get_submodule(classifier).register_forward_hook(lambda layer, inputs, output: read.append(inputs[0]))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        whole(images)
        features = network(images)
    # A convolution that classifies is pooled after, not before.
    torch.testing.assert_close(features, read[0].mean((2, 3)) if read[0].ndim == 4 else read[0])
    assert features.shape == (2, width)


def test_torchvision_gives_a_classifier_where_asked():
    assert build_network("torchvision:resnet18", {}, num_classes=4).fc.out_features == 4


# --- features ---------------------------------------------------------------------------------------------------------


def test_images_are_normalised_as_torchvision_does():
    images = images_of(4).images
    usual = transforms.Compose(
        [
            transforms.ToImage(),
            transforms.ToDtype(torch.float32, scale=True),
            transforms.Normalize(MEAN, STD),
        ]
    )
    found = wrapped(nn.Flatten())(images)
    expected = torch.stack([usual(image.numpy()) for image in images]).flatten(1)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("settings", [CONV, VIT, RESNET], ids=["conv", "vit", "resnet"])
def test_features_are_those_of_evaluation_mode_whatever_the_batch(settings):
    backbone, images = build_backbone(settings), images_of(5).images
    before = state_of(backbone)
    whole = extract_features(backbone.train(), images)
    assert whole.dtype == torch.float32 and whole.shape[0] == 5 and whole.ndim == 2
    torch.testing.assert_close(extract_features(backbone, images, batch_size=2), whole)
    with torch.no_grad():
        torch.testing.assert_close(backbone.eval()(images), whole)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.network.state_dict().items())


@pytest.mark.parametrize("kind", ["conv", "vit"])
def test_a_backbone_comes_back_from_its_weights_file(tmp_path, kind):
    backbone, images = backbone_of(kind), images_of(3).images
    tensors = {name: tensor.numpy() for name, tensor in state_of(backbone).items()}
    write_tensors(tmp_path / "weights", tensors, {})
    loaded = load_backbone({"conv": CONV, "vit": VIT}[kind], tmp_path / "weights", torch.device("cpu"))
    assert torch.equal(extract_features(loaded, images), extract_features(backbone, images))
    assert not loaded.training
    del tensors[next(iter(tensors))]
    write_tensors(tmp_path / "less", tensors, {})
    with pytest.raises(RuntimeError, match="Missing key"):
        load_backbone({"conv": CONV, "vit": VIT}[kind], tmp_path / "less", torch.device("cpu"))
