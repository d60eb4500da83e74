"""The checkpoint's own classifier: kept where the features are what it reads, and read as the head of some classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.prepared import Preparation, write_split
from prunetransfer.datasets.splits import Split, read_split
from prunetransfer.heads import Head, read_head, write_head
from prunetransfer.heads.own import own_head
from prunetransfer.models.backbones import CLASSIFIER, build_network, extract_features, load_backbone
from prunetransfer.models.checkpoints import as_timm_reads, convert, read_checkpoint
from prunetransfer.models.classifier import own_classifier
from prunetransfer.storage.artifacts import write_tensors

CLASSES = 7
SIZE = 32
RESNET = {"layers": [1, 1, 1, 1], "channels": [4, 4, 4, 8]}
VIT = {"img_size": SIZE, "patch_size": 16, "embed_dim": 12, "depth": 1, "num_heads": 2}
READ = {
    "resnet": ("resnet18", RESNET),
    "vit": ("vit_tiny_patch16_224", VIT),
    "vit, mean of tokens": ("vit_tiny_patch16_224", VIT | {"class_token": False, "global_pool": "avg"}),
    "torchvision, the last of several layers": ("torchvision:mobilenet_v3_small", {"width_mult": 0.25}),
}
NOT_READ = {
    "a convolution": ("dla46_c", {}),
    "a convolution before pooling": ("torchvision:squeezenet1_1", {}),
    "two classifiers": ("deit_tiny_distilled_patch16_224", VIT),
    "normalised before": ("efficientvit_m0", {}),
}


def with_classifier(architecture: str, options: dict) -> tuple[nn.Module, nn.Module]:
    """A network with a classifier, and the backbone with the same weights; both in evaluation mode."""
    torch.manual_seed(0)
    whole = build_network(architecture, options, num_classes=CLASSES).eval()
    backbone = build_network(architecture, options).eval()
    backbone.load_state_dict({key: whole.state_dict()[key] for key in backbone.state_dict()})
    return whole, backbone


@torch.no_grad()
@pytest.mark.parametrize("name", READ)
def test_the_kept_classifier_makes_the_outputs_of_the_whole_network(name):
    whole, backbone = with_classifier(*READ[name])
    found = own_classifier(whole.state_dict(), backbone, SIZE)
    weight, bias = (torch.from_numpy(found[f"{CLASSIFIER}{key}"]) for key in ("weight", "bias"))
    images = torch.rand(3, 3, SIZE, SIZE)
    torch.testing.assert_close(backbone(images) @ weight.T + bias, whole(images))


@pytest.mark.parametrize("name", NOT_READ)
def test_a_classifier_that_reads_something_else_than_the_features_is_not_kept(name):
    whole, backbone = with_classifier(*NOT_READ[name])
    size = 224 if name == "normalised before" else SIZE
    assert own_classifier(whole.state_dict(), backbone, size) == {}


def test_a_checkpoint_need_not_hold_a_classifier_that_fits():
    whole, backbone = with_classifier("resnet18", RESNET)
    state = whole.state_dict()
    assert own_classifier({}, backbone, SIZE) == {}
    assert own_classifier(state | {"fc.weight": state["fc.weight"][:, :-1]}, backbone, SIZE) == {}
    assert own_classifier(state | {"fc.bias": state["fc.bias"][:-1]}, backbone, SIZE) == {}
    assert own_classifier(state | {"fc.weight": state["fc.weight"].to(torch.int8)}, backbone, SIZE) == {}
    assert own_classifier(state, nn.Flatten(), SIZE) == {}
    del state["fc.bias"]
    assert (own_classifier(state, backbone, SIZE)[f"{CLASSIFIER}bias"] == np.zeros(CLASSES)).all()


def test_what_timm_publishes_keeps_its_classifier():
    whole, backbone = with_classifier("resnet18.a1_in1k", RESNET)
    found = own_classifier(as_timm_reads(whole.state_dict(), "resnet18.a1_in1k", RESNET), backbone, SIZE)
    assert (found[f"{CLASSIFIER}weight"] == whole.fc.weight.detach().numpy()).all()


# --- read as a head ---------------------------------------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A weights file whose classifier of five classes has its class's number in every place."""
    numbers = np.arange(5, dtype=np.float32)
    tensors = {f"{CLASSIFIER}weight": numbers[:, None].repeat(3, 1), f"{CLASSIFIER}bias": numbers}
    write_tensors(tmp_path / "net.safetensors", tensors, {"settings": {"source": "net.pt"}})
    return tmp_path / "net.safetensors"


def of_classes(*names: str, before: tuple[tuple[str, ...], ...] = ()) -> Split:
    return Split(torch.zeros(0), torch.zeros(0), names, before)


def columns(head: Head) -> list[float]:
    """Which class each output is of."""
    assert head.kind == "own" and head.weight.shape == (3, len(head.bias))
    assert (head.weight == head.bias).all()
    return head.bias.tolist()


@pytest.mark.parametrize(
    ("split", "classes", "views", "expected"),
    [
        (of_classes(*"abcde"), None, 0, [0, 1, 2, 3, 4]),
        (of_classes("a", "b"), [3, 1], 0, [3, 1]),
        # Classes that a view chooses, of a dataset with the head; numbered by that dataset.
        (of_classes("e", "a", before=(tuple("abcde"),)), None, 0, [4, 0]),
        (of_classes("b", "a", before=(("a", "b"),)), [3, 1], 0, [1, 3]),
        (of_classes("c", "a", before=(tuple("abcde"), ("a", "b", "c"))), [4, 2, 0], 1, [0, 4]),
        # A head of the view itself.
        (of_classes("e", "a", before=(tuple("abcde"),)), [2, 3], 1, [2, 3]),
    ],
)
def test_the_classes_of_a_head(weights, split, classes, views, expected):
    assert columns(own_head(weights, split, classes, views)) == expected


@pytest.mark.parametrize(
    ("split", "classes", "message"),
    [
        (
            of_classes("a", "b"),
            None,
            r"the dataset has 2 classes, but the checkpoint of weights\.source net\.pt has 5",
        ),
        (of_classes("a", "b"), [0, 1, 2], r"the dataset has 2 classes, but head\.classes has 3 numbers"),
        (of_classes("a", "b"), [0, 5], r"head\.classes has 5, but the checkpoint .*net.* knows classes 0 to 4"),
    ],
)
def test_a_head_of_other_classes_is_refused(weights, split, classes, message):
    with pytest.raises(ValueError, match=rf"^head own: {message}"):
        own_head(weights, split, classes, 0)


def test_a_checkpoint_without_a_classifier_is_named(tmp_path):
    write_tensors(tmp_path / "dino.safetensors", {"w": np.ones(1)}, {"settings": {"source": "timm"}})
    with pytest.raises(ValueError, match=r"checkpoint of weights\.source timm holds no linear classifier"):
        own_head(tmp_path / "dino.safetensors", of_classes("a", "b"), None, 0)


def test_an_own_head_has_cross_entropy_and_comes_back_from_its_file(weights, tmp_path):
    head = own_head(weights, of_classes("a", "b"), [3, 1], 0)
    write_head(tmp_path / "head", head, {})
    found = read_head(tmp_path / "head", torch.device("cpu"))
    assert (found.kind, found.alpha, columns(found)) == ("own", None, [3, 1])
    loss = found.loss(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    assert loss.item() == pytest.approx(np.log(2))


def test_a_split_knows_the_classes_before_each_view(tmp_path):
    glyphs = {"seed": 0, "train_per_class": 2, "test_per_class": 1}
    selections = [
        {"classes": ["D", "B", 0], "seed": 0},
        {"limit": {"train": 4}, "seed": 0},
        {"classes": [2, 1], "seed": 0},
    ]
    samples = load_samples("glyphs", "train", glyphs | {"selections": selections}, tmp_path)
    write_split(tmp_path / "split", samples, Preparation(8), {})
    split = read_split(tmp_path / "split")
    whole, *chosen = split.classes_before
    assert whole[:2] == ("A", "B") and len(whole) == 26
    assert chosen == [("D", "B", "A")] * 2 and split.classes == ("A", "B")


# --- real checkpoints -------------------------------------------------------------------------------------------------


def test_the_embedded_resnet_reads_as_with_its_classifier(repository, tmp_path):
    checkpoint = read_checkpoint(repository / "src/prunetransfer/data/resnet.safetensors")
    options = {"layers": [1, 1, 1, 1], "channels": [32, 64, 128, 256]}
    whole, network = build_network("resnet18", options, num_classes=10), build_network("resnet18", options)
    whole.load_state_dict(checkpoint)
    tensors = convert(checkpoint, network) | own_classifier(checkpoint, network.eval(), 64)
    write_tensors(tmp_path / "resnet.safetensors", tensors, {"settings": {"source": "package:resnet.safetensors"}})
    settings = {"architecture": "resnet18", "options": options, "mean": [0.5] * 3, "std": [0.25] * 3, "exclude": []}
    backbone = load_backbone(settings, tmp_path / "resnet.safetensors", torch.device("cpu"))
    images = torch.randint(256, (4, 64, 64, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    head = own_head(tmp_path / "resnet.safetensors", of_classes("ship", "cat"), [8, 3], 0)
    found = head(extract_features(backbone, images))
    backbone.network = whole.eval()
    torch.testing.assert_close(found, extract_features(backbone, images)[:, [8, 3]], atol=1e-4, rtol=1e-4)
