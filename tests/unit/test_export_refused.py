"""What cannot be exported: one line says so, and nothing is left behind."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from unit.exported import CONFIG, NAMES, head_of, pruned

from prunetransfer.deploy import export as exporting
from prunetransfer.deploy import programs
from prunetransfer.deploy.export import checked_formats, export, formats_for
from prunetransfer.deploy.programs import EXTRA
from prunetransfer.deploy.pruned import PrunedModel
from prunetransfer.models.backbones import build_backbone
from prunetransfer.storage.artifacts import ArtifactError


@pytest.fixture(scope="module")
def tiny() -> PrunedModel:
    """Small enough to be written often."""
    entry = CONFIG["backbones"]["vit-dino"] | {"exclude": []}
    entry |= {"options": entry["options"] | {"embed_dim": 12, "depth": 1}}
    return pruned(entry, build_backbone(entry), heads={"digits": head_of(12)}, classes={"digits": NAMES})


def refused(folder: Path, model: PrunedModel, *formats: str, error: type[Exception] = ValueError) -> str:
    """The message, of one line; nothing is left behind."""
    with pytest.raises(error) as caught:
        export(folder, model, formats)
    assert not folder.exists() and not list(folder.parent.glob(".*.partial"))
    (line,) = str(caught.value).splitlines()
    return line


def test_a_network_whose_layers_were_replaced_is_refused_by_name(tmp_path):
    entry = CONFIG["backbones"]["resnet-supervised"] | {"exclude": [], "size": 32}
    entry |= {"architecture": "nf_resnet26", "options": {"depths": [1, 1, 1, 1], "channels": [8, 8, 8, 16]}}
    torch.manual_seed(0)
    model = pruned(entry, build_backbone(entry, contiguous=True))
    line = refused(tmp_path / "out", model, "safetensors")
    assert line.startswith("format safetensors: timm's 'nf_resnet26' ")
    assert "--format torch-export" in line and "--format onnx" in line
    export(tmp_path / "out", model, ["torch-export"])
    assert (tmp_path / "out/model.pt2").exists() and "library_name" not in (tmp_path / "out/README.md").read_text()


def test_formats():
    assert formats_for("resnet18") == ("safetensors", "onnx")
    assert formats_for("torchvision:resnet18") == formats_for("net.py:net") == ("torch-export", "onnx")
    assert checked_formats(["onnx", "onnx"], "net.py:net") == ("onnx",)
    with pytest.raises(ValueError, match=r"^format 'onxx': no such format; .*sparse\. Did you mean 'onnx'\?$"):
        checked_formats(["onxx"], "resnet18")
    with pytest.raises(
        ValueError, match=r"'net\.py:net' is no architecture of timm; possible are --format torch-export"
    ):
        checked_formats(["safetensors"], "net.py:net")


@pytest.mark.parametrize("name", EXTRA)
def test_a_missing_package_is_one_line(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(programs.importlib.util, "find_spec", lambda found: None if found == name else found)
    with pytest.raises(ValueError, match=rf"^format onnx needs {name}: pip install 'prunetransfer\[export\]'$"):
        checked_formats(["onnx"], "resnet18")
    checked_formats(["sparse"], "resnet18")


def test_a_folder_that_is_there_is_left_alone(tmp_path, tiny):
    (tmp_path / "out").mkdir()
    export(tmp_path / "out", tiny, ["sparse"])
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    with pytest.raises(ValueError, match="out: is there already, and not an empty folder; name another one"):
        export(tmp_path / "out", tiny, ["sparse"])
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="not an empty folder"):
        export(tmp_path / "file", tiny, ["sparse"])


def test_what_does_not_belong_together_is_refused(tmp_path, tiny):
    out, name = tmp_path / "out", next(iter(tiny.mask))
    wrong = {
        "a check takes at least two": {"images": tiny.images[:1]},
        "uint8 [n, 64, 64, 3]": {"images": tiny.images[:, :32]},
        "weights that the mask takes away are not zero": {"mask": {name: np.zeros_like(tiny.mask[name])}},
        "the mask is of another backbone": {"mask": {"other": tiny.mask[name]}},
        "head or classes lack": {"classes": {}},
        "not 12 features × 3 classes": {"heads": {"digits": head_of(5)}},
    }
    for message, part in wrong.items():
        assert message in refused(out, replace(tiny, **part), "sparse")


def test_numbers_that_are_not_finite_are_refused(tmp_path, tiny):
    backbone = build_backbone(tiny.entry)
    model = pruned(tiny.entry, backbone)
    with torch.no_grad():
        backbone.network.fc_norm.bias[0] = torch.nan
    assert refused(tmp_path / "out", model, "sparse") == "fc_norm.bias holds numbers that are NaN or infinite"


def test_a_failure_leaves_nothing(tmp_path, tiny, monkeypatch):
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "write_sparse", full)
    line = refused(tmp_path / "out", tiny, "sparse", error=ArtifactError)
    assert "out: cannot be written" in line and "No space left" in line
