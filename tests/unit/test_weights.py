"""Checkpoints: fetched, verified, read from each format and converted so that no weight stays random by accident."""

from __future__ import annotations

import hashlib
import pickle
from argparse import Namespace
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from unit.networks import ConvNet, backbone_of, state_of

from prunetransfer.models import sources
from prunetransfer.models.backbones import build_network
from prunetransfer.models.checkpoints import as_timm_reads, convert, read_checkpoint, renamed
from prunetransfer.models.sources import fetch
from prunetransfer.storage.artifacts import ArtifactError

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


# --- sources ----------------------------------------------------------------------------------------------------------


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
    assert str(error.value) == (
        "checkpoint and architecture differ: missing: conv1.weight; unexpected: stem.weight; "
        "of another shape: fc.weight [5, 7], not [5, 6]"
    )


def test_keys_are_renamed_one_rule_after_the_other(state, tmp_path):
    def foreign(key: str) -> str:
        return key.replace("conv1", "stem").replace("bn1", "stem_norm").replace("fc", "proj")

    torch.save({f"net.{foreign(key)}": tensor for key, tensor in state.items()}, tmp_path / "net.pt")
    rules = [{r"^proj\.(\w+)": r"fc.\1"}, {"^stem": "conv1"}, {"conv1_norm": "bn1"}]
    converted = convert(read_checkpoint(tmp_path / "net.pt", prefix="net.", rename=rules), ConvNet())
    assert converted.keys() == state.keys()
    assert all(torch.equal(torch.from_numpy(converted[key]), tensor) for key, tensor in state.items())


def test_a_rule_that_changes_nothing_and_two_keys_of_one_name_are_refused():
    state = {"a.weight": torch.ones(1), "b.weight": torch.ones(2)}
    with pytest.raises(ArtifactError, match=r"rename: '\^c' changes none of the names d\.weight, b\.weight"):
        renamed(state, [{"^a": "d"}, {"^c": "e"}])
    with pytest.raises(ArtifactError, match=r"rename: a\.weight and b\.weight both become layer\.weight"):
        renamed(state, [{r"^[ab]\.": "layer."}])


def test_a_renamed_key_without_its_place_is_unexpected(state):
    with pytest.raises(
        ArtifactError, match=r"missing: conv1\.weight, conv1\.bias; unexpected: stem\.weight, stem\.bias;"
    ):
        convert(renamed(state, [{"^conv1": "stem"}]), ConvNet())


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64, torch.bool])
def test_integers_are_not_taken_for_weights(state, dtype):
    quantised = state | {"fc.weight": (100 * state["fc.weight"]).to(dtype)}
    with pytest.raises(ArtifactError, match=rf"not of floating-point numbers: fc\.weight \({dtype}\)$"):
        convert(quantised, backbone_of("conv").network)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_layers_with_numbers_that_are_not_finite_are_named(state, number):
    with pytest.raises(ArtifactError, match=r"differ: NaN or infinite: fc\.weight$"):
        convert(state | {"fc.weight": torch.full_like(state["fc.weight"], number)}, backbone_of("conv").network)


def test_the_same_tensors_under_other_names_are_paired(state):
    other = {f"m{k}.{key.rpartition('.')[2]}": tensor for k, (key, tensor) in enumerate(state.items())}
    with pytest.raises(ArtifactError) as error:
        convert({**other, "top.weight": torch.ones(2, 5)}, ConvNet())
    first = list(state)[:4]
    pairs = ", ".join(f"m{k}.{key.rpartition('.')[2]} → {key}" for k, key in enumerate(first))
    assert str(error.value).endswith(f"in the same order under other names, which `rename` can map: {pairs}")
    swapped = dict(reversed(other.items()))
    with pytest.raises(ArtifactError) as error:
        convert(swapped, ConvNet())
    assert "rename" not in str(error.value)


def test_ignored_keys_are_left_out(state):
    more = {**state, "linear.weight": torch.ones(2, 5), "linear.bias": torch.ones(2), "epoch": torch.tensor(3)}
    with pytest.raises(ArtifactError, match="unexpected: epoch"):
        convert(more, ConvNet(), ignore=["linear.*"])
    assert convert(more, ConvNet(), ignore=["linear.*", "epoch"]).keys() == state.keys()


def test_an_ignored_weight_of_the_network_is_missed(state):
    with pytest.raises(ArtifactError, match=r"missing: fc\.bias"):
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


def test_keys_that_may_be_missing_stay_as_initialised(state, capsys):
    network = ConvNet()
    initial = network.fc.bias.detach().clone()
    del state["fc.bias"], state["bn1.num_batches_tracked"]
    converted = convert(state, network, missing=["fc.*"])
    assert torch.equal(torch.from_numpy(converted["fc.bias"]), initial)
    assert torch.equal(torch.from_numpy(converted["fc.weight"]), state["fc.weight"])
    assert "not in the checkpoint: bn1.num_batches_tracked, fc.bias" in capsys.readouterr().out


# --- what each provider's file looks like -----------------------------------------------------------------------------

SMALL_RESNET = ("resnet50", {"layers": [1, 1, 1, 1], "channels": [4, 4, 4, 8]})
SMALL_VIT = ("vit_small_patch16_224", {"img_size": 32, "depth": 1, "embed_dim": 12, "num_heads": 2})
HEADS = {"fc.0.weight": torch.ones(8, 32), "fc.0.bias": torch.ones(8), "fc.2.weight": torch.ones(2, 8)}
VIT_HEADS = {
    "head.0.weight": torch.ones(8, 12),
    "head.1.running_mean": torch.ones(8),
    "head.3.weight": torch.ones(2, 8),
}


def prefixed(state: dict, *prefixes: str) -> dict:
    """Under the first prefix as it is, under the others with every tensor doubled."""
    return {f"{prefix}{key}": value * (1 + k) for k, prefix in enumerate(prefixes) for key, value in state.items()}


def moco_v2(state: dict) -> tuple[dict, dict]:
    queue = {"module.queue": torch.ones(4, 2), "module.queue_ptr": torch.ones(1)}
    return {
        "epoch": 800,
        "arch": "resnet50",
        "state_dict": prefixed(state | HEADS, "module.encoder_q.", "module.encoder_k.") | queue,
        "optimizer": {"state": {0: {"momentum_buffer": torch.ones(1)}}, "param_groups": [{"lr": 0.03}]},
    }, {"entry": "state_dict", "prefix": "module.encoder_q.", "ignore": ["fc.*"]}


def moco_v3(state: dict) -> tuple[dict, dict]:
    towers = prefixed(state | VIT_HEADS, "module.base_encoder.", "module.momentum_encoder.")
    content = {"epoch": 300, "arch": "vit_small", "state_dict": towers | {"module.predictor.0.weight": torch.ones(2)}}
    return content | {"optimizer": {"state": {}}, "scaler": {"scale": 65536.0}}, {
        "entry": "state_dict",
        "prefix": "module.base_encoder.",
        "ignore": ["head.*"],
    }


def dino(state: dict) -> tuple[dict, dict]:
    return state, {}


def dino_full(state: dict) -> tuple[dict, dict]:
    head = {"head.mlp.0.weight": torch.ones(4, 4), "head.last_layer.weight_g": torch.ones(4, 1)}
    content = {
        "student": prefixed(state, "module.backbone."),
        "teacher": prefixed(state, "backbone.") | head,
        "args": Namespace(arch="vit_small", lr=0.0005),
        "epoch": 100,
    }
    return content, {"entry": "teacher", "prefix": "backbone."}


def swav(state: dict) -> tuple[dict, dict]:
    heads = {"module.projection_head.0.weight": torch.ones(2, 8), "module.prototypes.weight": torch.ones(3, 2)}
    return prefixed(state, "module.") | heads, {"prefix": "module.", "ignore": ["projection_head.*", "prototypes.*"]}


def supervised(state: dict) -> tuple[dict, dict]:
    return state | {"fc.weight": torch.ones(1000, 32), "fc.bias": torch.ones(1000)}, {}


def mae(state: dict) -> tuple[dict, dict]:
    return {"model": state}, {"entry": "model"}


FORMATS = [
    (moco_v2, SMALL_RESNET, "moco.pth.tar"),
    (moco_v3, SMALL_VIT, "vit-s.pth.tar"),
    (dino, SMALL_RESNET, "dino_resnet50_pretrain.pth"),
    (dino, SMALL_VIT, "dino_vit.pth"),
    (dino_full, SMALL_VIT, "checkpoint.pth"),
    (swav, SMALL_RESNET, "swav.pth.tar"),
    (dino, SMALL_RESNET, "barlow.pth"),
    (supervised, SMALL_RESNET, "resnet50-0676ba61.pth"),
    (mae, SMALL_VIT, "mae.pth"),
]


@pytest.mark.parametrize(("provider", "net", "name"), FORMATS, ids=[name for *_, name in FORMATS])
def test_each_provider_s_format_gives_its_backbone(provider, net, name, tmp_path):
    torch.manual_seed(1)
    state = {
        key: torch.randn(tensor.shape) if tensor.is_floating_point() else tensor
        for key, tensor in build_network(*net).state_dict().items()
    }
    content, settings = provider(state)
    torch.save(content, tmp_path / name, _use_new_zipfile_serialization=not name.endswith(".tar"))
    ignore = settings.pop("ignore", [])
    torch.manual_seed(2)
    network = build_network(*net)
    converted = convert(read_checkpoint(tmp_path / name, **settings), network, ignore)
    assert converted.keys() == state.keys()
    assert all(torch.equal(torch.from_numpy(converted[key]), tensor) for key, tensor in state.items())
    if provider is swav:  # its heads are not where the classifier would be
        with pytest.raises(ArtifactError, match="unexpected"):
            convert(read_checkpoint(tmp_path / name, **settings), network)


def test_what_a_checkpoint_holds_is_named_where_the_settings_miss_it(tmp_path):
    torch.save(moco_v2({"conv1.weight": torch.ones(1)})[0], tmp_path / "moco.pth.tar")
    for settings, message in [
        ({}, "holds more than a state dict of tensors: epoch, arch, .*; entry may name state_dict$"),
        ({"entry": "model"}, "there is no entry 'model'; there are epoch, arch, state_dict, optimizer"),
        (
            {"entry": "state_dict", "prefix": "encoder."},
            "no key starts with 'encoder.'; there are module.encoder_q.conv1",
        ),
    ]:
        with pytest.raises(ArtifactError, match=rf"moco\.pth\.tar: {message}"):
            read_checkpoint(tmp_path / "moco.pth.tar", **settings)


def test_timm_resamples_the_position_embedding_of_its_checkpoints():
    architecture, options = SMALL_VIT
    published = build_network(architecture, options | {"img_size": 64}, num_classes=1000).state_dict()
    smaller = build_network(architecture, options)
    state = as_timm_reads(dict(published), architecture, options)
    converted = convert(state, smaller)
    assert converted["pos_embed"].shape == (1, 5, 12)
    assert torch.equal(torch.from_numpy(converted["patch_embed.proj.weight"]), published["patch_embed.proj.weight"])


def test_a_key_that_timm_s_loader_would_miss_is_missed():
    whole = build_network(*SMALL_RESNET, num_classes=1000).state_dict()
    del whole["layer1.0.conv1.weight"]
    with pytest.raises(ArtifactError, match=r"missing: layer1\.0\.conv1\.weight"):
        convert(as_timm_reads(dict(whole), *SMALL_RESNET), build_network(*SMALL_RESNET))


@pytest.mark.parametrize(
    ("file", "architecture", "options", "dropped"),
    [
        ("squeezenet1_0_imagenet_dc.pt", "torchvision:squeezenet1_0", {}, "classifier.1"),
        ("mobilenetv2_100_tf2ptq_fp16.pt", "mobilenetv2_100", {"pad_type": "same"}, "classifier"),
    ],
)
def test_real_checkpoints_fill_their_backbones(file, architecture, options, dropped, shared_data):
    state = read_checkpoint(shared_data / "weights" / file)
    converted = convert(state, build_network(architecture, options))
    assert state.keys() - converted.keys() == {f"{dropped}.weight", f"{dropped}.bias"}
    assert all((converted[key] == state[key].to(torch.float32).numpy()).all() for key in converted if key in state)
