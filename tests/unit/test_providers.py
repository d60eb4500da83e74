"""Checkpoints as their providers publish them fill their backbones."""

from __future__ import annotations

from argparse import Namespace

import pytest
import torch

from prunetransfer.models.backbones import build_network
from prunetransfer.models.checkpoints import as_timm_reads, convert, read_checkpoint
from prunetransfer.storage.artifacts import ArtifactError

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
