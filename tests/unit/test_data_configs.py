"""What a backbone reads, where its entry does not say: asked of timm and torchvision once."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from timm.data import resolve_data_config
from timm.models import get_pretrained_cfg

from prunetransfer.config import data_configs
from prunetransfer.config.data_configs import KEYS, complete_backbones, data_config


def entry(architecture: str, source: str = "timm", **more) -> dict:
    return {"architecture": architecture, "pretraining": "x", "weights": {"source": source}, **more}


@pytest.fixture
def here(monkeypatch) -> None:
    """Questions are answered in this process, which has imported timm."""

    def run(command, input, **options):
        answers = [data_configs._answer(*model) for model in json.loads(input)]
        return SimpleNamespace(returncode=0, stdout=json.dumps(answers))

    monkeypatch.setattr(subprocess, "run", run)


def test_what_is_left_out_comes_from_the_model_and_the_answer_is_kept(tmp_path, monkeypatch):
    backbones = {
        "timm": entry("vit_base_patch16_224.augreg_in1k"),
        "partly": entry("resnet50.tv_in1k", crop=1.0, size=128),
        "squashed": entry("convnext_base.fb_in22k_ft_in1k_384", crop=1.0, size=384),
        "dinov2": entry("vit_base_patch14_dinov2.lvd142m", options={"img_size": 224}),
        "torchvision": entry("torchvision:resnet50", "torchvision:ResNet50_Weights.IMAGENET1K_V2"),
    }
    again = {name: dict(value) for name, value in backbones.items()}
    assert complete_backbones(backbones, tmp_path / "resources/data.json") == []
    read = {name: [value[key] for key in KEYS] for name, value in backbones.items()}
    imagenet = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]
    assert read == {
        "timm": [224, [0.5] * 3, [0.5] * 3, "bicubic", 0.9, "center"],
        "partly": [128, *imagenet, "bilinear", 1.0, "center"],
        "squashed": [384, *imagenet, "bicubic", 1.0, "squash"],
        "dinov2": [224, *imagenet, "bicubic", 1.0, "center"],
        "torchvision": [224, *imagenet, "bilinear", 224 / 232, "center"],
    }
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("asked again"))
    assert complete_backbones(again, tmp_path / "resources/data.json") == [] and again == backbones


def test_an_entry_that_says_all_asks_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(data_configs, "_ask", lambda *_: pytest.fail("asked"))
    whole = entry("net.py:net", size=8, mean=[0] * 3, std=[1] * 3, interpolation="bicubic", crop=1, crop_mode="border")
    assert complete_backbones({"net": whole}, tmp_path / "data.json") == []


def test_a_network_of_one_s_own_cuts_squares_out_of_the_middle(tmp_path):
    net = entry("net.py:net", "net.pt", size=8, mean=[0] * 3, std=[1] * 3, interpolation="bicubic", crop=1)
    assert complete_backbones({"net": net}, tmp_path / "data.json") == [] and net["crop_mode"] == "center"


def test_an_answer_that_was_kept_before_crop_modes_is_asked_for_again(here, tmp_path):
    kept = tmp_path / "data.json"
    versions = f"timm {version('timm')}, torchvision {version('torchvision')}"
    kept.write_text(json.dumps({f"coat_lite_medium_384 with  ({versions})": {"size": 1, "mean": [0] * 3}}))
    net = entry("coat_lite_medium_384")
    assert complete_backbones({"net": net}, kept) == []
    assert (net["size"], net["crop_mode"]) == (384, "squash")


@pytest.mark.parametrize(
    ("changed", "missing", "why"),
    [
        ({"input_size": (3, 1024, 768)}, "size", "1024 × 768 pixels"),
        ({"mean": (0.5,), "std": (0.5, 0.5, 0.5, 1.0)}, "mean, std", "mean [0.5], std [0.5, 0.5, 0.5, 1.0]"),
        ({"crop_pct": 1.15}, "crop", "crop 1.15"),
        (
            {"crop_mode": "x", "interpolation": "y"},
            "interpolation, crop_mode",
            "interpolation y, crop_mode x",
        ),
    ],
)
def test_what_cannot_be_honoured_is_named_and_may_be_stated_instead(changed, missing, why, tmp_path, monkeypatch):
    published = resolve_data_config(pretrained_cfg=get_pretrained_cfg("resnet50").to_dict())
    answer = data_configs._usable(published | changed, fixed=False)
    monkeypatch.setattr(data_configs, "_ask", lambda models, cache: [dict(answer)])
    (line,) = complete_backbones({"net": entry("resnet50")}, tmp_path)
    assert line.startswith(f"backbones.net: needs {missing}; timm's data config has {why}")
    stated = {"size": 64, "mean": [0] * 3, "std": [1] * 3, "interpolation": "bicubic", "crop": 1, "crop_mode": "squash"}
    net = entry("resnet50", **{key: stated[key] for key in missing.split(", ")})
    assert complete_backbones({"net": net}, tmp_path) == [] and net.keys() >= set(KEYS)


def test_images_of_other_channels_are_refused():
    published = resolve_data_config(pretrained_cfg=get_pretrained_cfg("resnet50").to_dict())
    with pytest.raises(ValueError, match="images of 1 channels; here they have 3"):
        data_configs._usable(published | {"input_size": (1, 28, 28)}, fixed=False)


def test_an_architecture_of_one_size_is_told_how_to_read_another(here, tmp_path):
    vit, cache = "vit_base_patch16_224.augreg_in1k", tmp_path / "data.json"
    (line,) = complete_backbones({"net": entry(vit, size=128), "same": entry(vit, size=224)}, cache)
    assert line.startswith("backbones.net.size = 128: must be 224, unless img_size")
    assert complete_backbones({"net": entry(vit, size=128, options={"img_size": 128})}, cache) == []
    assert complete_backbones({"net": entry("resnet50", size=128)}, cache) == []


def test_timm_s_larger_size_for_tests_does_not_count():
    """As docs/datasets.md has it; a study that wants it states size and crop."""
    published = get_pretrained_cfg("resnet50.a1_in1k")
    assert (published.test_input_size[-1], published.test_crop_pct) == (288, 1.0)
    asked = data_config("resnet50.a1_in1k", "timm")
    assert (asked["size"], asked["crop"]) == (224, 0.95)


def test_a_network_of_one_s_own_is_told_what_it_must_say(tmp_path):
    (line,) = complete_backbones({"net": entry("net.py:net", "net.pt", size=8)}, tmp_path / "data.json")
    assert line.startswith("backbones.net: needs mean, std, interpolation, crop; ")


def test_an_unknown_model_is_named(here, tmp_path):
    nets = {"a": entry("resnet19"), "b": entry("resnet50.nope"), "c": entry("resnet50", "torchvision:A_Weights.B")}
    nets["d"] = entry("resnet50", "torchvision:FCN_ResNet50_Weights.DEFAULT")
    lines = complete_backbones(nets, tmp_path / "data.json")
    assert [line.split(": ")[0] for line in lines] == [f"backbones.{name}" for name in "abcd"]
    assert "FCN_ResNet50_Weights.DEFAULT' are not those of an image classifier" in lines[3]
    assert "'resnet19'" in lines[0] and "nope" in lines[1] and "A_Weights.B" in lines[2]


@pytest.mark.parametrize("name", ["resnet50.a1_in1k", "convnext_base.fb_in1k", "vit_base_patch16_clip_224.openai"])
def test_timm_says_the_same(name):
    said, found = resolve_data_config(pretrained_cfg=get_pretrained_cfg(name).to_dict()), data_config(name, "timm")
    assert (found["size"], found["crop"], found["interpolation"]) == (
        said["input_size"][-1],
        said["crop_pct"],
        said["interpolation"],
    )
