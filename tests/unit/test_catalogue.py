"""The entries of the catalogue are valid, complete and built from architectures that exist."""

from __future__ import annotations

import re

import pytest
import torch
import yaml
from torchvision.models import get_weight
from unit.configs import VALID

from prunetransfer.config import validate_config
from prunetransfer.models.backbones import build_network

STUDY = {key: value for key, value in VALID.items() if key != "pretrain"}


@pytest.fixture(scope="module")
def backbones(repository, tmp_path_factory) -> dict:
    root = tmp_path_factory.mktemp("catalogue")
    (root / "data/mine").mkdir(parents=True)
    page = (repository / "docs/catalogue.md").read_text(encoding="utf-8")
    entries = yaml.safe_load(re.search(r"```yaml\n(backbones:.*?)```", page, re.DOTALL)[1])
    table = dict(re.findall(r"^\| (\w[\w-]*) \| [^|]+ \| (\S+) \|", page.partition("| backbone |")[2], re.MULTILINE))
    assert list(table) == list(entries["backbones"])
    sizes = yaml.safe_load((repository / "src/prunetransfer/data/megabytes.yaml").read_text(encoding="utf-8"))
    assert {name: int(size) for name, size in table.items() if size != "–"} == sizes
    return validate_config(STUDY | entries, repository / "workflow/schemas/config.schema.json", root)["backbones"]


def test_every_entry_says_or_finds_how_its_images_are_prepared(backbones):
    for entry in backbones.values():
        assert entry["size"] in (224, 256) and entry["interpolation"] in ("bilinear", "bicubic")


def test_every_architecture_and_every_published_weight_exists(backbones):
    for name, entry in backbones.items():
        with torch.device("meta"):
            network = build_network(entry["architecture"], entry["options"])
        source = entry["weights"]["source"]
        if source == "timm":
            assert network.pretrained_cfg["hf_hub_id"] == f"timm/{entry['architecture']}", name
        elif source.startswith("torchvision:"):
            get_weight(source.removeprefix("torchvision:"))
