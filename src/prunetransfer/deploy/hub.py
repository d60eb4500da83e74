"""The format `safetensors`: timm's layout of a model on the hub, which timm loads without this project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from prunetransfer.deploy.pruned import UNKNOWN, PrunedModel
from prunetransfer.models.backbones import Backbone, build_network, extract_features

# What timm says of its own weights, which these are not.
OF_PUBLISHED = ("tag", "license", "description", "origin_url", "paper_name", "paper_ids", "notes", "label_offset")
OF_PUBLISHED += ("label_names", "label_descriptions")


def write_hub(folder: Path, model: PrunedModel) -> None:
    """Write `model.safetensors` and `config.json`, and load them again through timm.

    Raises ValueError unless what timm builds has the same names and makes the same features, bit for bit in the same
    layout: a network whose layers were replaced to be pruned does not fit timm's constructor.
    """
    from timm.models._hub import save_for_hf

    entry = model.entry
    network = _network(model)
    options = {"model_args": dict(entry["options"]), "data_config": _data_config(model)}
    save_for_hf(network, str(folder), safe_serialization=True, **options)
    _check(folder, model)


def _network(model: PrunedModel) -> nn.Module:
    """timm's own network with the model's weights. Raises ValueError if they do not fit it."""
    entry = model.entry
    classes = len(model.classifier.bias) if model.classifier else 0
    network = build_network(entry["architecture"], entry["options"], classes).eval()
    try:
        network.load_state_dict(model.tensors())
    except RuntimeError:
        raise ValueError(misfit(model, "has other parameters")) from None
    network.pretrained_cfg = {key: value for key, value in network.pretrained_cfg.items() if key not in OF_PUBLISHED}
    if model.facts.licence != UNKNOWN:
        network.pretrained_cfg["license"] = model.facts.licence
    return network


def _data_config(model: PrunedModel) -> dict[str, Any]:
    entry = model.entry
    return {
        "input_size": (3, entry["size"], entry["size"]),
        "mean": tuple(entry["mean"]),
        "std": tuple(entry["std"]),
        "interpolation": entry["interpolation"],
        "crop_pct": entry["crop"],
        "crop_mode": entry["crop_mode"],
    }


def _check(folder: Path, model: PrunedModel) -> None:
    import timm

    found = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    backbone = Backbone(found, model.entry["mean"], model.entry["std"]).eval()
    backbone.lay_out(model.backbone.contiguous)
    if not extract_features(backbone, model.images).equal(model.features):
        raise ValueError(misfit(model, "makes other features of these weights"))
    config, wanted = timm.data.resolve_model_data_config(found), _data_config(model)
    if wrong := [key for key, value in wanted.items() if _plain(config[key]) != _plain(value)]:
        raise ValueError(f"format safetensors: timm reads another {', '.join(wrong)} from config.json than was written")
    if model.classifier:
        whole = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        with torch.no_grad():
            outputs = whole(model.inputs)
        if not outputs.argmax(1).equal(model.answers(model.features)["the classifier"]):
            raise ValueError(misfit(model, "answers otherwise with its classifier"))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def misfit(model: PrunedModel, why: str) -> str:
    """What is said where timm cannot take the weights."""
    return (
        f"format safetensors: timm's {model.entry['architecture']!r} {why}, since layers that make another weight of "
        "theirs were replaced by plain ones, or the model is not timm's; possible are --format torch-export and "
        "--format onnx"
    )
