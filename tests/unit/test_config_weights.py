"""Where a config may take weights from."""

from __future__ import annotations

import pytest
from unit.configs import DIGEST, changed, problems

from prunetransfer.config import keywords, validate_config

SOURCE = "backbones.net.weights.source"
SHA256 = "backbones.net.weights.sha256"
NEEDED = "must be 64 hexadecimal digits in lower case, which shipped weights need"


@pytest.fixture
def shipped(monkeypatch, tmp_path) -> None:
    """A package that ships small.safetensors and the card that stands beside it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/small.safetensors").touch()
    (tmp_path / "data/small.json").touch()
    monkeypatch.setattr(keywords.importlib.resources, "files", lambda package: tmp_path)


@pytest.mark.parametrize(
    "weights",
    [
        {"source": "package:small.safetensors", "sha256": DIGEST},
        {"source": "https://example.org/net.pt", "sha256": DIGEST},
        {"source": "https://example.org/net.pt"},
        {"source": "timm"},
        {"source": "torchvision:ResNet18_Weights.IMAGENET1K_V1"},
        {"source": "random", "seed": 3},
        {"source": "net.pt", "entry": "state_dict", "prefix": "module.", "ignore": ["fc.*"], "missing": ["bn.*"]},
        {"source": "net.pt"},
        {"source": "net.pt", "sha256": DIGEST},
        {"source": "net.pt", "sha256": None},
    ],
)
def test_weights_may_be_shipped_fetched_or_a_file(weights, shipped, schema, root):
    config = changed("backbones/net/weights", weights)
    assert validate_config(config, schema, root)["backbones"]["net"]["weights"]["source"] == weights["source"]


@pytest.mark.parametrize(
    ("weights", "line"),
    [
        (
            {"source": "package:smal.safetensors", "sha256": DIGEST},
            f"{SOURCE} = 'package:smal.safetensors': no such file; defined are package:small.safetensors. "
            "Did you mean 'package:small.safetensors'?",
        ),
        (
            {"source": "package:../data/small.safetensors", "sha256": DIGEST},
            f"{SOURCE} = 'package:../data/small.safetensors': no such file; defined are package:small.safetensors. "
            "Did you mean 'package:small.safetensors'?",
        ),
        ({"source": "package:small.safetensors"}, f"{SHA256}: missing; {NEEDED}"),
        ({"source": "package:small.safetensors", "sha256": None}, f"{SHA256} = null: {NEEDED}"),
        (
            {"source": "torchvision:resnet50"},
            f"{SOURCE} = 'torchvision:resnet50': names no weights; write them as in "
            "torchvision:ResNet50_Weights.IMAGENET1K_V2",
        ),
        ({"source": "tim"}, f"{SOURCE} = 'tim': there is no file '{{root}}/tim'. Did you mean 'timm'?"),
        (
            {"source": "net.pt", "sha256": DIGEST.upper()},
            f"{SHA256} = '{DIGEST.upper()[:56]}...: must be 64 hexadecimal digits in lower case",
        ),
        (
            {"source": "http://example.org/net.pt"},
            f"{SOURCE} = 'http://example.org/net.pt': of addresses, only https:// is fetched",
        ),
        ({"source": ""}, f"{SOURCE} = '': must be text that is not empty"),
    ],
)
def test_wrong_weights_are_explained(weights, line, shipped, schema, root):
    assert problems(changed("backbones/net/weights", weights), schema, root) == [line.format(root=root)]


def test_a_missing_checkpoint_is_named_in_full(schema, root):
    (line,) = problems(changed("backbones/net/weights/source", "nets.pt"), schema, root)
    assert line == f"{SOURCE} = 'nets.pt': there is no file '{root}/nets.pt'"


def test_a_package_that_ships_nothing_says_so(monkeypatch, tmp_path, schema, root):
    monkeypatch.setattr(keywords.importlib.resources, "files", lambda package: tmp_path)
    weights = {"source": "package:small.safetensors", "sha256": DIGEST}
    (line,) = problems(changed("backbones/net/weights", weights), schema, root)
    assert line == f"{SOURCE} = 'package:small.safetensors': no such file; none is defined"
