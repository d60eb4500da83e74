"""What is exported loads without this project, and computes what the pruned backbone computes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from unit.exported import CONFIG, FACTS, NAMES, ROOT, embedded, head_of, images_of, pruned

from prunetransfer.deploy.card import CITATION, licence_of
from prunetransfer.deploy.export import export
from prunetransfer.deploy.pruned import PrunedModel
from prunetransfer.deploy.snippets import using
from prunetransfer.models.backbones import build_backbone
from prunetransfer.pruning.apply import mask_tensors
from prunetransfer.pruning.making import make_mask, ranked
from prunetransfer.pruning.masks import read_mask
from prunetransfer.structure.dependencies import find_units

FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
# Runs as on a machine that this project was never on.
WITHOUT_PROJECT = "import sys\nsys.modules['prunetransfer'] = None\n"


@pytest.fixture(scope="module")
def resnet() -> PrunedModel:
    """With its own classifier and the head of a task."""
    entry, backbone, own = embedded("resnet-supervised")
    return pruned(entry, backbone, 0.9, classifier=own, heads={"digits": head_of(256)}, classes={"digits": NAMES})


@pytest.fixture(scope="module")
def vit() -> PrunedModel:
    """With neither."""
    return pruned(*embedded("vit-supervised")[:2])


@pytest.fixture(scope="module")
def folder(resnet, tmp_path_factory) -> Path:
    """The ResNet in all formats."""
    place = tmp_path_factory.mktemp("exported") / "resnet"
    export(place, resnet, ["safetensors", "torch-export", "onnx", "sparse"])
    return place


def in_fresh_process(code: str, folder: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", WITHOUT_PROJECT + code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- the folder -------------------------------------------------------------------------------------------------------


def test_the_folder_holds_what_the_card_says(folder, resnet):
    card = (folder / "README.md").read_text()
    files = {file.name: file.stat() for file in folder.iterdir()}
    assert set(files) == {
        *("README.md", "config.json", "model.safetensors", "model.sparse.safetensors", "model.onnx", "model.pt2"),
        *("masks.safetensors", "heads.safetensors"),
    }
    assert len({stat.st_mode for stat in files.values()}) == 1  # readable by the same people
    for name, stat in files.items():
        assert name == "README.md" or f"| {name} | {stat.st_size:,} |" in card
    dense = sum(tensor.nbytes for tensor in resnet.tensors().values())
    assert files["model.sparse.safetensors"].st_size < 0.2 * dense < files["model.safetensors"].st_size
    front = yaml.safe_load(card.split("---")[1])
    assert front["library_name"] == "timm" and front["license"] == "mit"
    assert "| digits | yes | zero_shot | 20 | 0.9000 | 0.8000 | 0.889 [0.800, 0.950] |" in card
    assert "| few | no | knn | 9 | 0.1000 | 0.1000 | - |" in card
    nonzero = sum(int(p.count_nonzero()) for p in resnet.backbone.network.parameters())
    assert f"{nonzero:,} are not zero" in card and "90.00% of these are pruned" in card
    for text in ("opset 20", "Nothing is guaranteed.", "| revision | abc |", "arxiv.org/abs/2509.24066"):
        assert text in card


def test_nothing_in_it_names_a_path_of_this_machine(folder):
    for file in folder.iterdir():
        content = file.read_bytes()
        for trace in (b"site-packages", str(ROOT).encode(), str(folder.parent).encode()):
            assert trace not in content, (file.name, trace)


def test_masks_and_heads_are_plain_safetensors(folder, resnet):
    mask = read_mask(folder / "masks.safetensors")
    assert all(np.array_equal(mask[name], keep) for name, keep in resnet.mask.items())
    heads = load_file(folder / "heads.safetensors")
    assert heads["digits.weight"].equal(resnet.heads["digits"].weight)
    assert heads["digits.bias"].equal(resnet.heads["digits"].bias)
    with safe_open(folder / "heads.safetensors", "pt") as file:
        assert json.loads(file.metadata()["prunetransfer"])["classes"] == {"digits": list(NAMES)}


def test_config_says_how_images_are_prepared_and_nothing_of_other_weights(folder, resnet):
    import timm

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    found, entry = timm.data.resolve_model_data_config(model), resnet.entry
    assert found["input_size"] == (3, 64, 64) and list(found["mean"]) == entry["mean"]
    assert (found["interpolation"], found["crop_pct"], found["crop_mode"]) == ("bicubic", 1.0, "center")
    with torch.no_grad():
        torch.testing.assert_close(model(resnet.inputs), resnet.classifier(resnet.features), rtol=1e-4, atol=1e-4)
    published = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    assert published["license"] == "mit" and "tag" not in published and "origin_url" not in published


# --- other programs ---------------------------------------------------------------------------------------------------


def test_the_cards_lines_run_where_this_project_is_not(folder, resnet, vit, tmp_path):
    """One process for all, as most of its time is imports."""
    export(tmp_path / "vit", vit, ["safetensors"])
    shutil.copytree(folder, tmp_path / "resnet")
    own = replace(resnet, heads={}, classes={})
    lines = {
        "vit": (vit, FENCE.findall((tmp_path / "vit/README.md").read_text())),
        "resnet": (resnet, FENCE.findall((tmp_path / "resnet/README.md").read_text())),
        "resnet, torch-export": (resnet, [using(resnet, ["torch-export"])]),
        "resnet, onnx": (resnet, [using(resnet, ["onnx"])]),
        "resnet, by the page": (resnet, FENCE.findall((ROOT / "docs/export.md").read_text())),
        "resnet, its classifier": (own, [using(own, ["safetensors"])]),
    }
    code = ["import os, numpy"]
    for name, (model, blocks) in lines.items():
        place = tmp_path / name.partition(",")[0]
        Image.fromarray(model.images[0].numpy()).save(place / "image.png")
        result = "features" if model is vit else "outputs"
        code += [f"os.chdir({str(place)!r})", *blocks, f"{result} = numpy.array({result}.tolist())"]
        code += [f"numpy.save({str(tmp_path / name)!r}, {result})"]
    code += [
        "from safetensors.numpy import load_file",
        "os.chdir('../resnet')",
        "whole = load_file('model.safetensors')",
    ]
    code += ["assert whole.keys() == tensors.keys()"]  # made whole by the lines for the sparse file
    code += ["assert all(numpy.array_equal(whole[name], tensors[name]) for name in whole)"]
    in_fresh_process("\n".join(code), tmp_path)
    for name, (model, _) in lines.items():
        expected = model.features[:1]
        if model is not vit:
            head = resnet.heads["digits"] if model is resnet else resnet.classifier
            expected = head(expected)
        found = torch.from_numpy(np.load(tmp_path / f"{name}.npy")).float()
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_onnx_gives_features_and_outputs_of_any_number_of_images(folder, resnet):
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for images in (resnet.inputs[:1], resnet.inputs[:3], torch.cat([resnet.inputs] * 4)):
        features, outputs = map(torch.from_numpy, session.run(None, {"images": images.numpy()}))
        with torch.no_grad():
            expected = resnet.backbone.network(images)
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(outputs, resnet.classifier(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet-supervised", "vit-supervised"])
def test_programs_have_lost_the_units_that_are_gone_and_timm_s_file_has_zeros_for_them(name, tmp_path):
    entry, backbone, classifier = embedded(name)
    units = find_units(backbone, (3, entry["size"], entry["size"]))
    scores = {name: weight.detach().square().numpy() for name, weight in backbone.prunable().items()}
    mask = make_mask(ranked(scores, units), 0.3, "channels")
    backbone.prune(mask_tensors(mask, torch.device("cpu")))
    model = PrunedModel(backbone, entry, mask, images_of(entry["size"]), FACTS, classifier, units=units)
    export(tmp_path / "out", model, ["safetensors", "onnx", "torch-export"])  # compares each with the masked backbone
    sizes = {file.name: file.stat().st_size for file in (tmp_path / "out").iterdir()}
    assert max(sizes["model.onnx"], sizes["model.pt2"]) < 0.9 * sizes["model.safetensors"]
    left = sum(parameter.numel() for parameter in model.smallest.network.parameters())
    text = (tmp_path / "out/README.md").read_text()
    assert f"it has {left:,}." in text and "full size, with zeros in their place" in text


class Attending(nn.Module):
    """PyTorch's own attention over the rows of an image, which is replaced by layers to be pruned."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attention = nn.Linear(24, 12), nn.MultiheadAttention(12, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.embed(x.transpose(1, 2).flatten(2))
        return self.attention(rows, rows, rows, need_weights=False)[0].mean(1)


def test_replaced_attention_becomes_a_program(tmp_path):
    entry = CONFIG["backbones"]["vit-dino"] | {"exclude": [], "size": 8}
    entry |= {"architecture": f"{__name__}:Attending", "options": {}}
    export(tmp_path / "out", pruned(entry, build_backbone(entry, contiguous=True)), ["torch-export", "onnx"])


def test_licences_and_citation():
    assert licence_of("resnet18", "timm") == "apache-2.0"
    assert licence_of("resnet18", "package:resnet.safetensors") == "mit"
    for source in ("package:other/file.pt", "https://example.org/net.pt", "net.pt", "pretrain"):
        assert licence_of("resnet18", source) == "unknown"
    article = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"][0]
    assert article["title"] in CITATION and article["url"] in CITATION and str(article["year"]) in CITATION
    assert all(author["family-names"] in CITATION for author in article["authors"])
