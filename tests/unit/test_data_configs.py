"""What a backbone reads, where its entry does not say: asked of timm and torchvision once."""

from __future__ import annotations

import subprocess

import pytest
from timm.data import resolve_data_config
from timm.models import get_pretrained_cfg

from prunetransfer.config import data_configs
from prunetransfer.config.data_configs import KEYS, complete_backbones, data_config


def entry(architecture: str, source: str = "timm", **more) -> dict:
    return {"architecture": architecture, "pretraining": "x", "weights": {"source": source}, **more}


def test_what_is_left_out_comes_from_the_model_and_the_answer_is_kept(tmp_path, monkeypatch):
    backbones = {
        "timm": entry("vit_base_patch16_224.augreg_in1k"),
        "partly": entry("resnet50.tv_in1k", crop=1.0, size=128),
        "dinov2": entry("vit_base_patch14_dinov2.lvd142m", options={"img_size": 224}),
        "torchvision": entry("torchvision:resnet50", "torchvision:ResNet50_Weights.IMAGENET1K_V2"),
    }
    again = {name: dict(value) for name, value in backbones.items()}
    assert complete_backbones(backbones, tmp_path / "resources/data.json") == []
    read = {name: [value[key] for key in KEYS] for name, value in backbones.items()}
    imagenet = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]
    assert read == {
        "timm": [224, [0.5] * 3, [0.5] * 3, "bicubic", 0.9],
        "partly": [128, *imagenet, "bilinear", 1.0],
        "dinov2": [224, *imagenet, "bicubic", 1.0],
        "torchvision": [224, *imagenet, "bilinear", 224 / 232],
    }
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("asked again"))
    assert complete_backbones(again, tmp_path / "resources/data.json") == [] and again == backbones


def test_an_entry_that_says_all_asks_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(data_configs, "_ask", lambda *_: pytest.fail("asked"))
    whole = entry("net.py:net", size=8, mean=[0] * 3, std=[1] * 3, interpolation="bicubic", crop=1)
    assert complete_backbones({"net": whole}, tmp_path / "data.json") == []


def test_a_network_of_one_s_own_is_told_what_it_must_say(tmp_path):
    (line,) = complete_backbones({"net": entry("net.py:net", "net.pt", size=8)}, tmp_path / "data.json")
    assert line.startswith("backbones.net: needs mean, std, interpolation, crop; ")


def test_an_unknown_model_is_named(tmp_path):
    nets = {"a": entry("resnet19"), "b": entry("resnet50.nope"), "c": entry("resnet50", "torchvision:A_Weights.B")}
    lines = complete_backbones(nets, tmp_path / "data.json")
    assert [line.split(": ")[0] for line in lines] == ["backbones.a", "backbones.b", "backbones.c"]
    assert "'resnet19'" in lines[0] and "nope" in lines[1] and "A_Weights.B" in lines[2]


@pytest.mark.parametrize("name", ["resnet50.a1_in1k", "convnext_base.fb_in1k", "vit_base_patch16_clip_224.openai"])
def test_timm_says_the_same(name):
    said, found = resolve_data_config(pretrained_cfg=get_pretrained_cfg(name).to_dict()), data_config(name, "timm")
    assert (found["size"], found["crop"], found["interpolation"]) == (
        said["input_size"][-1],
        said["crop_pct"],
        said["interpolation"],
    )
