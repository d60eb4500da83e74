"""Real ImageNet models on real images, from image files to the accuracy that others measured with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from timm.data import ImageNetInfo

from prunetransfer.backbones import Backbone, build_network, extract_features
from prunetransfer.datasets.files import ImageFiles
from prunetransfer.datasets.prepared import Preparation
from prunetransfer.weights.checkpoints import read_checkpoint

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


@pytest.mark.parametrize("name", MODELS)
def test_accuracy_on_a_sample_of_imagenet(shared_data, name):
    factory, preparation, normalisation, expected = MODELS[name]
    network = factory()
    network.load_state_dict(read_checkpoint(shared_data / f"weights/{name}.pt"))
    backbone = Backbone(network.float(), *normalisation).eval().to(memory_format=torch.channels_last)
    paths = sorted((shared_data / "imagenet_sample/val").glob("*/*"))
    images = torch.from_numpy(np.stack([preparation(image) for image in ImageFiles(paths)]))
    ranks = {wnid: rank for rank, wnid in enumerate(ImageNetInfo().label_names())}
    labels = torch.tensor([ranks[path.parent.name] for path in paths])
    found = (extract_features(backbone, images).argmax(1) == labels).double().mean().item()
    assert found == pytest.approx(expected, abs=0.012)
