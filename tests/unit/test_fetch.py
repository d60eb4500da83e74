"""Where checkpoints come from: paths, packages, timm and torchvision, and their digests."""

from __future__ import annotations

import hashlib

import huggingface_hub
import pytest

from prunetransfer.models import sources
from prunetransfer.models.sources import fetch
from prunetransfer.storage.artifacts import ArtifactError


def test_fetch_takes_a_path_as_it_is(tmp_path):
    (tmp_path / "net.pt").touch()
    assert fetch(str(tmp_path / "net.pt"), "net", tmp_path / "downloads") == tmp_path / "net.pt"
    assert not (tmp_path / "downloads").exists()


def test_fetch_finds_what_the_package_ships(repository, tmp_path):
    found = fetch("package:resnet.safetensors", "resnet18", tmp_path)
    assert found.samefile(repository / "src/prunetransfer/data/resnet.safetensors")


def test_fetch_finds_what_another_package_ships_and_runs_none_of_its_code(tmp_path, monkeypatch):
    (tmp_path / "site/some_nets/models").mkdir(parents=True)
    (tmp_path / "site/some_nets/__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "site/some_nets/models/net.pth").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    found = fetch("package:some_nets/models/net.pth", "net", tmp_path)
    assert found.samefile(tmp_path / "site/some_nets/models/net.pth")
    with pytest.raises(ArtifactError, match=r"^package:other_nets/net\.pth: .* pip install other-nets$"):
        fetch("package:other_nets/net.pth", "net", tmp_path)


@pytest.mark.parametrize("source", ["package:missing.safetensors", "no/such/net.pt"])
def test_fetch_names_what_is_missing(source, tmp_path):
    with pytest.raises(ArtifactError) as error:
        fetch(source, "net", tmp_path)
    assert str(error.value).startswith(f"{source}: there is no file ")
    assert str(error.value).endswith(source.removeprefix("package:"))


def test_a_wrong_digest_names_both_and_the_file(tmp_path):
    file = tmp_path / "net.pt"
    file.write_bytes(b"weights")
    found = hashlib.sha256(b"weights").hexdigest()
    assert fetch(str(file), "net", tmp_path, found) == file
    with pytest.raises(ArtifactError) as error:
        fetch(str(file), "net", tmp_path, "0" * 64)
    assert all(part in str(error.value) for part in (str(file), found, "0" * 64))


def test_torchvision_names_the_digest_of_its_files(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(sources, "download", lambda *arguments: asked.append(arguments) or tmp_path)
    fetch("torchvision:ResNet50_Weights.IMAGENET1K_V2", "resnet50", tmp_path)
    assert asked == [("https://download.pytorch.org/models/resnet50-11ad3fa6.pth", tmp_path, "11ad3fa6")]
    with pytest.raises(ArtifactError, match=r"ResNet50_Weights\.IMAGENET1K_V9"):
        fetch("torchvision:ResNet50_Weights.IMAGENET1K_V9", "resnet50", tmp_path)


@pytest.mark.parametrize("architecture", ["resnet50.nope", "no_such_net", "net.py:net", "torchvision:resnet50"])
def test_timm_publishes_nothing_for_what_it_does_not_know(architecture, tmp_path):
    with pytest.raises(ArtifactError, match=rf"^architecture '{architecture}': "):
        fetch("timm", architecture, tmp_path)


def test_timm_comes_from_the_hub_s_cache_and_says_when_it_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ArtifactError, match=r"^timm/resnet18\.a1_in1k: "):
        fetch("timm", "resnet18", tmp_path)
    revision = "0" * 40
    published = tmp_path / "models--timm--resnet18.a1_in1k"
    (published / "refs").mkdir(parents=True)
    (published / "refs/main").write_text(revision)
    (published / "snapshots" / revision).mkdir(parents=True)
    (published / "snapshots" / revision / "model.safetensors").write_bytes(b"weights")
    assert fetch("timm", "resnet18", tmp_path).read_bytes() == b"weights"
