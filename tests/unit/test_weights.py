"""Checkpoints: fetched, verified, read from each format and converted so that no weight stays random by accident."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from unit.networks import ConvNet, backbone_of, state_of

from prunetransfer.artifacts import ArtifactError
from prunetransfer.backbones import build_network
from prunetransfer.weights import convert, fetch, read_checkpoint, verify

RESNET = {"layers": [1, 1, 1, 1], "channels": [4, 4, 4, 8]}


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    """A checkpoint of ConvNet."""
    return {name: tensor.contiguous() for name, tensor in state_of(backbone_of("conv")).items()}


class Code:
    """Unpickled, it would leave a file."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


# --- fetch and verify -------------------------------------------------------------------------------------------------


def test_fetch_takes_a_path_as_it_is(tmp_path):
    (tmp_path / "net.pt").touch()
    assert fetch(str(tmp_path / "net.pt"), tmp_path / "downloads") == tmp_path / "net.pt"
    assert not (tmp_path / "downloads").exists()


def test_fetch_finds_what_the_package_ships(repository, tmp_path):
    found = fetch("package:resnet.safetensors", tmp_path)
    assert found.samefile(repository / "src/prunetransfer/data/resnet.safetensors")


@pytest.mark.parametrize("source", ["package:missing.safetensors", "no/such/net.pt"])
def test_fetch_names_what_is_missing(source, tmp_path):
    with pytest.raises(ArtifactError) as error:
        fetch(source, tmp_path)
    assert str(error.value).startswith(f"{source}: there is no file ")
    assert str(error.value).endswith(source.removeprefix("package:"))


def test_fetch_downloads_https(tmp_path, monkeypatch):
    def download(url: str, place: str, progress: bool) -> None:
        assert url == "https://weights.invalid/nets/net.safetensors"
        Path(place).write_text("weights")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    found = fetch("https://weights.invalid/nets/net.safetensors", tmp_path / "down/loads")
    assert found == tmp_path / "down/loads/net.safetensors"
    assert found.read_text() == "weights"


@pytest.mark.parametrize("failure", [URLError("no route"), ConnectionResetError("no route"), TimeoutError("no route")])
def test_a_failed_download_is_one_message(failure, tmp_path, monkeypatch):
    def download(*_, **__):
        raise failure

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(ArtifactError, match=r"^https://weights\.invalid/net\.pt: download failed .*no route"):
        fetch("https://weights.invalid/net.pt", tmp_path)


def test_verify_names_both_digests(tmp_path):
    file = tmp_path / "net.pt"
    file.write_bytes(b"weights")
    found = hashlib.sha256(b"weights").hexdigest()
    verify(file, found)
    with pytest.raises(ArtifactError) as error:
        verify(file, "0" * 64)
    assert all(part in str(error.value) for part in (str(file), found, "0" * 64))


# --- formats ----------------------------------------------------------------------------------------------------------


def write(path: Path, state: dict[str, torch.Tensor]) -> None:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=path.suffix != ".tar")


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt", "net.pth", "net.bin", "legacy.tar"])
def test_each_format_is_read(tmp_path, state, name):
    write(tmp_path / name, state)
    found = read_checkpoint(tmp_path / name)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], tensor) and found[key].dtype == tensor.dtype for key, tensor in state.items())


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_becomes_float32(tmp_path, state, name, dtype):
    stored = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    write(tmp_path / name, stored)
    converted = convert(read_checkpoint(tmp_path / name), ConvNet())
    for key, tensor in stored.items():
        expected = tensor.float() if tensor.is_floating_point() else tensor
        assert torch.equal(torch.from_numpy(converted[key]), expected)
        assert converted[key].dtype == expected.numpy().dtype


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path):
    for save, name in (
        (torch.save, "zip.pt"),
        (lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2)), "plain.pt"),
    ):
        save({"weight": Code(tmp_path / "trace")}, tmp_path / name)
        with pytest.raises(ArtifactError, match=rf"{name}: not a checkpoint of plain tensors"):
            read_checkpoint(tmp_path / name)
        assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("value", [[torch.ones(1)], {"state_dict": {"w": torch.ones(1)}}, {"w": 1.0}, torch.ones(1)])
def test_more_or_less_than_a_state_dict_is_refused(tmp_path, value):
    torch.save(value, tmp_path / "net.pt")
    with pytest.raises(ArtifactError, match=r"net\.pt: holds more than a state dict"):
        read_checkpoint(tmp_path / "net.pt")


DAMAGED = {
    "empty": lambda whole, legacy: b"",
    "web page": lambda whole, legacy: b"<!DOCTYPE html>\n<html></html>",
    "text": lambda whole, legacy: b"hello world\n",
    "truncated": lambda whole, legacy: whole[: len(whole) // 2],
    "truncated legacy": lambda whole, legacy: legacy[: len(legacy) - 20],
    "beginning of legacy": lambda whole, legacy: legacy[:300],
}


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_checkpoint_is_one_message_that_names_it(tmp_path, state, damage, name):
    write(tmp_path / f"whole{Path(name).suffix}", state)
    write(tmp_path / "legacy.tar", state)
    whole, legacy = (tmp_path / f"whole{Path(name).suffix}").read_bytes(), (tmp_path / "legacy.tar").read_bytes()
    (tmp_path / name).write_bytes(DAMAGED[damage](whole, legacy))
    with pytest.raises(ArtifactError) as error:
        read_checkpoint(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: not a ")
    assert "\n" not in str(error.value)


# --- conversion -------------------------------------------------------------------------------------------------------


def test_every_tensor_of_the_network_is_converted(state):
    network = ConvNet()
    converted = convert(state, network)
    assert list(converted) == list(network.state_dict())
    for key, tensor in state.items():
        assert torch.equal(torch.from_numpy(converted[key]), tensor)
        assert torch.equal(network.state_dict()[key], tensor)


def test_what_differs_is_listed(state):
    state["stem.weight"] = state.pop("conv1.weight")
    state["fc.weight"] = torch.ones(5, 7)
    with pytest.raises(ArtifactError) as error:
        convert(state, ConvNet())
    message = str(error.value)
    assert message.startswith("checkpoint and architecture differ")
    assert 'Missing key(s) in state_dict: "conv1.weight"' in message
    assert 'Unexpected key(s) in state_dict: "stem.weight"' in message
    assert "fc.weight" in message and "[5, 7]" in message and "[5, 6]" in message


def test_ignored_keys_are_left_out(state):
    more = {**state, "linear.weight": torch.ones(2, 5), "linear.bias": torch.ones(2), "epoch": torch.tensor(3)}
    with pytest.raises(ArtifactError, match=r'Unexpected.*"epoch"'):
        convert(more, ConvNet(), ignore=["linear.*"])
    assert convert(more, ConvNet(), ignore=["linear.*", "epoch"]).keys() == state.keys()


def test_an_ignored_weight_of_the_network_is_missed(state):
    with pytest.raises(ArtifactError, match=r'Missing.*"fc\.bias"'):
        convert(state, ConvNet(), ignore=["fc.bias"])


def test_the_classifier_is_dropped_by_its_name_in_timm():
    whole = build_network("resnet18", RESNET, num_classes=10)
    converted = convert(whole.state_dict(), build_network("resnet18", RESNET))
    assert converted.keys() == whole.state_dict().keys() - {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(("classifier", "dropped"), [("top", ["top"]), (("top", "side"), ["top", "side"]), (None, [])])
def test_a_network_may_name_no_classifier_or_several(state, classifier, dropped):
    network: nn.Module = ConvNet()
    network.pretrained_cfg = {"classifier": classifier}
    more = {**state, **{f"{name}.weight": torch.ones(1) for name in dropped}}
    assert convert(more, network).keys() == state.keys()
    with pytest.raises(ArtifactError, match="topping"):
        convert({**state, "topping.weight": torch.ones(1)}, network)
