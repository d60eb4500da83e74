"""Checkpoints are read from each format, and what is no checkpoint is called what it is."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from unit.networks import ConvNet

from prunetransfer.models.checkpoints import convert, read_checkpoint
from prunetransfer.storage.artifacts import ArtifactError


class Code:
    """Unpickled, it would leave a file."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


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


def numbers_beside(state: dict) -> dict:
    more = {"best": np.float64(71.5), "epoch": np.int64(3), "half": np.float16(1), "done": np.bool_(True)}
    return {"model": {"net": state}, "curve": np.linspace(0, 1, 3), **more}


def test_numpy_s_numbers_beside_the_weights_are_harmless(tmp_path, state):
    torch.save(numbers_beside(state), tmp_path / "net.pt")
    found = read_checkpoint(tmp_path / "net.pt", entry="model/net")
    assert all(torch.equal(found[key], tensor) for key, tensor in state.items())


def test_numbers_as_numpy_1_wrote_them_are_harmless(tmp_path, state):
    torch.save(numbers_beside(state), tmp_path / "net.tar", _use_new_zipfile_serialization=False)
    renamed_module = (tmp_path / "net.tar").read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "net.tar").write_bytes(renamed_module)
    assert b"numpy.core.multiarray" in renamed_module
    assert read_checkpoint(tmp_path / "net.tar", entry="model/net").keys() == state.keys()


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_the_content_counts_and_not_the_name(tmp_path, state, name):
    write(tmp_path / f"written{'.pt' if name.endswith('safetensors') else '.safetensors'}", state)
    (written,) = tmp_path.glob("written.*")
    assert read_checkpoint(written.rename(tmp_path / name)).keys() == state.keys()


FOREIGN = {
    "lfs.pth": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "a Git LFS pointer.*git lfs pull",
    ),
    "lfs.safetensors": (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    "page.pth": (b"\n<!DOCTYPE html><html><title>Sign in</title></html>", "a web page"),
    "net.h5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "an HDF5 file"),
    "net.pth.gz": (b"\x1f\x8b\x08" + bytes(64), "a gzip archive: unpack it"),
    "empty.pt": (b"", "an empty file"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_checkpoint_is_called_what_it_is(tmp_path, name):
    content, expected = FOREIGN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"{name}: not a checkpoint of plain tensors: {expected}.*; taken are "):
        read_checkpoint(tmp_path / name)


def test_what_holds_more_than_tensors_is_told_how_to_save_them(tmp_path):
    torch.save(ConvNet(), tmp_path / "whole.pt")
    with pytest.raises(ArtifactError, match=r"the Python object .*ConvNet, .*; save model\.state_dict\(\) instead"):
        read_checkpoint(tmp_path / "whole.pt")
    np.savez(tmp_path / "arrays.npz", weight=np.ones(2))
    with pytest.raises(ArtifactError, match=r"a zip archive of weight\.npy"):
        read_checkpoint(tmp_path / "arrays.npz")


def test_an_entry_may_be_a_path_and_every_place_of_tensors_is_offered(tmp_path, state):
    torch.save({"a": {"b": {"trunk": state}}, "x/y": state, "step": 3}, tmp_path / "net.pt")
    for entry in ("a/b/trunk", "x/y"):
        assert read_checkpoint(tmp_path / "net.pt", entry=entry).keys() == state.keys()
    for entry, message in [
        ("a", "holds more than a state dict of tensors: b; entry may name a/b/trunk"),
        ("a/trunk", "there is no entry 'a/trunk'; there are b; entry may name a/b/trunk, x/y"),
        (None, "holds more than a state dict of tensors: a, x/y, step; entry may name a/b/trunk, x/y"),
    ]:
        with pytest.raises(ArtifactError, match=rf"net\.pt: {message}$"):
            read_checkpoint(tmp_path / "net.pt", entry=entry)
