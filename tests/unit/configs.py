"""A valid config, changed at one place, and what is said of it."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml

from prunetransfer.config import ConfigError, validate_config

DIGEST = "0123456789abcdef" * 4
NAME = "text of at most 64 letters, digits and - _ . that starts with a letter, a digit or _"
SCHEMA = json.loads((Path(__file__).parents[2] / "workflow/schemas/config.schema.json").read_text(encoding="utf-8"))
# As messages list them: all scores, and the keys of `block`.
SCORES = ", ".join(SCHEMA["$defs"]["scores"])
BLOCK = ", ".join(SCHEMA["$defs"]["scores"]["block"]["properties"])
VALID = yaml.safe_load("""
study: tiny
seeds: [0, 1]
data_root: data
backbones:
  net: {architecture: resnet18, options: {layers: [1]}, pretraining: none, size: 8, mean: [0, 0, 0.5], std: [1, 1, 0.5],
        interpolation: bilinear, crop: 1, crop_mode: center, weights: {source: net.pt}}
  own: {architecture: resnet18, pretraining: digits, size: 8, mean: [0, 0, 0], std: [1, 1, 1],
        interpolation: bicubic, crop: 0.875, crop_mode: center, weights: {source: pretrain}}
datasets:
  digits: {kind: digits}
  glyphs: {kind: glyphs, train_per_class: 3}
  textures: {kind: textures}
  mine: {kind: folder, path: mine}
sources: [digits]
targets: [digits, textures]
scores:
  magnitude: {}
  diagonal: {loss: cross_entropy}
  block-1: {score: block, damping: 1}
sparsities: [0, 0.3, 0.5]
recoveries: {none: {}, finetune: {epochs: 1, sparsities: [0.5]}}
pretrain: {own: {dataset: digits, epochs: 1, optimizer: sgd, learning_rate: 0.1, weight_decay: 0}}
""")


def changed(path: str, value: object) -> dict:
    """VALID with another value at `path`; `...` removes what is there."""
    config = copy.deepcopy(VALID)
    place = config
    *parents, last = path.split("/")
    for key in parents:
        place = place.setdefault(key, {})
    if value is ...:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return config


def problems(config: object, schema: dict | Path, root: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validate_config(config, schema, root)
    return str(caught.value).splitlines()
