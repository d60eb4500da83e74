"""The lines of Python that a card shows: how the files of its folder are used."""

from __future__ import annotations

from collections.abc import Sequence

from prunetransfer.deploy.pruned import PrunedModel

HEAD = """\
heads = load_file("heads.safetensors")
outputs = features @ heads["{task}.weight"] + heads["{task}.bias"]
"""
LOADED = 'image = transform(Image.open("image.png").convert("RGB"))[None]\n'
TIMM = """\
import timm
from PIL import Image
from safetensors.torch import load_file

model = timm.create_model("local-dir:.", pretrained=True{headless}).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
"""
TORCH_EXPORT = """\
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

model = torch.export.load("model.pt2").module()
transform = timm.data.create_transform({data})
"""
ONNX = """\
import onnxruntime
import timm
from PIL import Image
from safetensors.numpy import load_file

session = onnxruntime.InferenceSession("model.onnx")
transform = timm.data.create_transform({data})
"""
# How model.sparse.safetensors becomes whole tensors again, with NumPy and safetensors alone.
READING_SPARSE = """\
import json
import numpy as np
from safetensors import safe_open

with safe_open("model.sparse.safetensors", "np") as file:
    shapes = json.loads(file.metadata()["prunetransfer"])["shapes"]
    tensors = {name: file.get_tensor(name) for name in file.keys()}
for name, shape in shapes.items():
    keep = np.unpackbits(tensors.pop(f"{name}/mask"), count=np.prod(shape)).astype(bool)
    whole = np.zeros(keep.size, np.float32)
    whole[keep] = tensors.pop(f"{name}/kept")
    tensors[name] = whole.reshape(shape)
"""


def using(model: PrunedModel, formats: Sequence[str]) -> str:
    """How one image gets its features, and a head's outputs; by the first of the formats that runs, else nothing."""
    entry = model.entry
    values = {key: entry[key] for key in ("mean", "std", "interpolation")}
    values |= {"input_size": (3, entry["size"], entry["size"])}
    values |= {"crop_pct": entry["crop"], "crop_mode": entry["crop_mode"]}
    data = ", ".join(f"{key}={value!r}" for key, value in values.items())
    answering = bool(model.classifier and not model.heads)
    result = "outputs" if answering else "features"
    if "safetensors" in formats:
        headless = ", num_classes=0" if model.classifier and model.heads else ""
        text = TIMM.format(headless=headless) + LOADED + f"{result} = model(image)\n"
    elif "torch-export" in formats:
        names = "features, outputs" if model.classifier else "features"
        text = TORCH_EXPORT.format(data=data) + LOADED + f"{names} = model(image)\n"
    elif "onnx" in formats:
        names = "features, outputs" if model.classifier else "(features,)"
        text = ONNX.format(data=data) + LOADED + f'{names} = session.run(None, {{"images": image.numpy()}})\n'
    else:
        return ""
    if model.heads:
        return text + HEAD.format(task=next(iter(model.heads)))
    return "".join(line for line in text.splitlines(keepends=True) if "load_file" not in line)
