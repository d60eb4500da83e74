"""Real ImageNet models on real images, from image files to the accuracy that others measured with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from timm.data import ImageNetInfo
from torch import nn

from prunetransfer.config.data_configs import data_config
from prunetransfer.config.extending import read_study
from prunetransfer.datasets.files import ImageFiles
from prunetransfer.datasets.prepared import Preparation
from prunetransfer.models.backbones import Backbone, build_network, extract_features
from prunetransfer.models.checkpoints import read_checkpoint
from prunetransfer.models.packages import package_file
from prunetransfer.stages.code_digest import file_digest

MODELS = {
    "mobilenetv2_100_tf2ptq_fp16": (
        lambda: build_network("mobilenetv2_100", {"pad_type": "same"}, num_classes=1000),
        Preparation(224, "bicubic", 0.875),
        ([0.5] * 3, [0.5] * 3),
        0.836,
    ),
    "squeezenet1_0_imagenet_dc": (
        torchvision.models.squeezenet1_0,
        Preparation(227),
        ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        0.614,
    ),
}


def top1(network: nn.Module, preparation: Preparation, normalisation: tuple, shared_data: Path) -> float:
    """Accuracy of a network with its own classifier on one image of each of 500 ImageNet classes."""
    backbone = Backbone(network.float(), *normalisation).eval().to(memory_format=torch.channels_last)
    paths = sorted((shared_data / "imagenet_sample/val").glob("*/*"))
    images = torch.from_numpy(np.stack([preparation(image) for image in ImageFiles(paths)]))
    ranks = {wnid: rank for rank, wnid in enumerate(ImageNetInfo().label_names())}
    labels = torch.tensor([ranks[path.parent.name] for path in paths])
    return (extract_features(backbone, images).argmax(1) == labels).double().mean().item()


@pytest.mark.parametrize("name", MODELS)
def test_accuracy_on_a_sample_of_imagenet(shared_data, name):
    factory, preparation, normalisation, expected = MODELS[name]
    network = factory()
    network.load_state_dict(read_checkpoint(shared_data / f"weights/{name}.pt"))
    assert top1(network, preparation, normalisation, shared_data) == pytest.approx(expected, abs=0.012)


def test_accuracy_of_a_backbone_that_a_python_package_ships(shared_data, repository):
    study = read_study(repository / "studies/real-small.yaml")
    entry = study["backbones"]["efficientnet-lite0"]
    weights = entry["weights"]
    try:
        checkpoint = package_file(weights["source"])
    except ValueError as error:
        pytest.skip(str(error))
    assert file_digest(checkpoint) == weights["sha256"]
    network = build_network(entry["architecture"], {}, num_classes=1000)
    network.load_state_dict(read_checkpoint(checkpoint, rename=weights["rename"]))
    published = data_config(entry["architecture"], weights["source"])
    preparation = Preparation(published["size"], published["interpolation"], published["crop"])
    found = top1(network, preparation, (published["mean"], published["std"]), shared_data)
    # As measured; its publisher states 75.1% of all 1000 classes, of which these are easier images.
    assert found == pytest.approx(0.852, abs=0.012)
