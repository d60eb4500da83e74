"""The command `prunetransfer prune`: a folder of images to a folder that timm loads, and a card that is true."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

from prunetransfer import __main__
from prunetransfer.pruning.masks import read_mask

SIZE = 32
BACKBONE = ["--backbone", "resnet18", "--checkpoint", "package:resnet.safetensors", "--size", str(SIZE)]
BACKBONE += ["--option", "layers=[1, 1, 1, 1]", "--option", "channels=[32, 64, 128, 256]"]
QUICK = ["--rounds", "1", "--recovery", "reconstruct", "--samples", "8", "--procedural", "6"]


def prune(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["prunetransfer", "prune", *map(str, arguments)])
    __main__.main()


def pixels(colour: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 80, (SIZE, SIZE, 3), dtype=np.uint8)
    noise[..., colour] += 120
    return noise


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Noise, reddish or greenish: train/CLASS and test/CLASS, and a flat folder of other images."""
    root = tmp_path_factory.mktemp("images")
    for split, count in {"train": 10, "test": 6}.items():
        for colour, name in enumerate(["red", "green"]):
            (root / "task" / split / name).mkdir(parents=True)
            for k in range(count):
                image = Image.fromarray(pixels(colour, 100 * colour + 20 * (split == "test") + k))
                image.save(root / f"task/{split}/{name}/{k}.png")
    (root / "flat").mkdir()
    for k in range(9):
        Image.fromarray(pixels(2, 1000 + k)).save(root / f"flat/{k}.png")
    return root


def test_what_timm_loads_is_what_the_card_tells(folder, tmp_path, monkeypatch, capsys):
    out, task = tmp_path / "mine", folder / "task"
    formats = ["--format", "safetensors", "--format", "sparse"]
    asked = ["--images", folder / "flat", "--evaluate", task, "--sparsity", 0.6, *formats, "--out", out]
    prune(monkeypatch, *BACKBONE, *QUICK, *asked)
    printed = capsys.readouterr().out
    card = (out / "README.md").read_text(encoding="utf-8")
    assert {"model.safetensors", "config.json", "model.sparse.safetensors", "heads.safetensors"} <= {
        file.name for file in out.iterdir()
    }
    model = timm.create_model(f"local-dir:{out}", pretrained=True, num_classes=0).eval()
    weights, mask = model.state_dict(), read_mask(out / "masks.safetensors")
    pruned = sum(int((weights[name] == 0).sum()) for name in mask)
    assert pruned == round(0.6 * sum(keep.size for keep in mask.values()))
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    heads, right = load_file(out / "heads.safetensors"), []
    for label, name in enumerate(["green", "red"]):
        for file in sorted((task / "test" / name).iterdir()):
            features = model(transform(Image.open(file))[None])
            right.append(int((features @ heads["task.weight"] + heads["task.bias"]).argmax(1)) == label)
    row = next(line for line in card.splitlines() if line.startswith("| task |") and "zero_shot" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:4] == ["yes", "zero_shot", "12"]
    assert float(cells[5]) == pytest.approx(np.mean(right), abs=5e-5)
    assert f"accuracy {np.mean(right):.3f} of" in printed
    assert "8 images of flat and 6 images made from nothing" in card


def test_without_images_and_with_the_seen_folder(folder, tmp_path, monkeypatch):
    made = tmp_path / "a"
    prune(monkeypatch, *BACKBONE, *QUICK, "--sparsity", 0.5, "--format", "safetensors", "--out", made)
    assert "on 6 images made from nothing, without labels" in (made / "README.md").read_text(encoding="utf-8")
    seen, task = tmp_path / "b", folder / "task"
    asked = ["--images", task / "train", "--evaluate", task, "--sparsity", 0.5, "--format", "safetensors"]
    prune(monkeypatch, *BACKBONE, *QUICK, *asked, "--out", seen)
    assert re.search(r"^\| task \| no \|", (seen / "README.md").read_text(encoding="utf-8"), re.MULTILINE)


OWN = """
from torch import nn
def build():
    return nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


def test_a_network_of_one_s_own_becomes_a_program(folder, tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text(OWN)
    out = tmp_path / "mine"
    given = ["--size", SIZE, "--mean", 0.5, 0.5, 0.5, "--std", 0.2, 0.2, 0.2, "--format", "torch-export"]
    backbone = ["--backbone", f"{tmp_path}/net.py:build", "--checkpoint", "random", "--images", folder / "flat"]
    prune(monkeypatch, *backbone, *given, *QUICK, "--sparsity", 0.5, "--out", out)
    program = torch.export.load(out / "model.pt2").module()
    features = program(torch.zeros(3, 3, SIZE, SIZE))
    assert features.shape == (3, 6)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (["--score", "feature"], "Did you mean 'features'"),
        (["--score", "block"], "reads labels"),
        (["--recovery", "finetune"], "reads labels"),
        (["--option", "layers"], "KEY=VALUE"),
        (["--sparsity", "1"], "sparsity 1"),
        (["--format", "zip"], "safetensors"),
        (["--images", "nowhere"], "no such folder"),
        (["--images", "{empty}"], "at least two"),
        (["--images", "{damaged}"], "0.png: not a readable image"),
        (["--evaluate", "{flat}"], "flat"),
        (["--out", "{flat}"], "not an empty folder"),
        (["--procedural", "0"], "nothing to prune with"),
        (["--procedural", "-1"], "--procedural -1"),
        (["--samples", "0"], "--samples 0"),
        (["--evaluate", "{task}", "--evaluate", "{task}"], "several folders are called task"),
        (["--backbone", "resnet81"], "resnet81"),
        (["--backbone", "nowhere.py:build", "--format", "onnx"], "nowhere.py"),
        (["--checkpoint", "nowhere.pt"], "nowhere.pt"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_and_nothing_is_left(folder, tmp_path, monkeypatch, change, what):
    places = {
        "flat": folder / "flat",
        "task": folder / "task",
        "empty": tmp_path / "empty",
        "damaged": tmp_path / "damaged",
    }
    for name in ("empty", "damaged"):
        places[name].mkdir()
    for k in range(2):
        (places["damaged"] / f"{k}.png").write_bytes(b"no image")
    change = [part.format(**places) for part in change]
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as error:
        prune(monkeypatch, *BACKBONE, *QUICK, "--sparsity", "0.5", "--out", out, *change)
    assert what in str(error.value) and "\n" not in str(error.value)
    assert not out.exists() and not list(tmp_path.glob(".*.partial"))
