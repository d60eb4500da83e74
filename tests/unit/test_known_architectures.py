"""Every network of timm and torchvision is known without importing them, and what is none of theirs is not."""

from __future__ import annotations

import pytest
import timm
import torchvision

from prunetransfer.config.architectures import unknown_architecture, unknown_weights


def test_every_architecture_of_timm_is_known():
    names = {*timm.list_models(), "tv_resnext50_32x4d"}  # the last under its former name
    tagged = {name.partition(".")[2]: name for name in timm.list_models(include_tags=True)}.values()
    assert len(names) > 1000 and len(tagged) > 300
    assert [name for name in (*names, *tagged) if unknown_architecture(name)] == []


def test_every_architecture_and_every_weight_of_torchvision_is_known():
    models = torchvision.models.list_models()
    assert [name for name in models if unknown_architecture(f"torchvision:{name}")] == []
    weights = [f"torchvision:{weight}" for name in models for weight in torchvision.models.get_model_weights(name)]
    assert len(weights) > 100 and [weight for weight in weights if unknown_weights(weight)] == []


@pytest.mark.parametrize(
    ("architecture", "problem"),
    [
        ("resnet19", "timm has no architecture 'resnet19'. Did you mean 'resnet18'?"),
        ("resnet50.tv_in2k", "timm has no weights 'tv_in2k' of 'resnet50'. Did you mean 'tv_in1k'?"),
        ("torchvision:resnet51", "torchvision has no architecture 'resnet51'. Did you mean 'resnet50'?"),
    ],
)
def test_a_network_that_is_not_there_is_told(architecture, problem):
    assert unknown_architecture(architecture) == problem


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("torchvision:ResNet50_Weights.V9", "ResNet50_Weights has no 'V9', only IMAGENET1K_V1, IMAGENET1K_V2, DEFAULT"),
        ("torchvision:ResNet51_Weights.V1", "torchvision has no 'ResNet51_Weights'. Did you mean 'ResNet50_Weights'?"),
    ],
)
def test_weights_that_are_not_there_are_told(source, problem):
    assert unknown_weights(source) == problem
