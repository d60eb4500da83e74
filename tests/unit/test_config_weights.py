"""Where a config may take weights from."""

from __future__ import annotations

import hashlib

import pytest
from unit.configs import DIGEST, changed, problems

from prunetransfer.config import validate_config
from prunetransfer.models import packages

SOURCE = "backbones.net.weights.source"
SHA256 = "backbones.net.weights.sha256"
RENAME = "backbones.net.weights.rename"
NEEDED = "must be 64 hexadecimal digits in lower case, which a package's file needs"
CARGO = b"weights"
FOUND = hashlib.sha256(CARGO).hexdigest()


@pytest.fixture
def shipped(monkeypatch, tmp_path) -> None:
    """A package that ships small.safetensors and the card that stands beside it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/small.safetensors").write_bytes(CARGO)
    (tmp_path / "data/small.json").touch()
    monkeypatch.setattr(packages.importlib.resources, "files", lambda package: tmp_path)


@pytest.fixture
def installed(monkeypatch, tmp_path) -> None:
    """Another package, in whose folder lies a checkpoint; its code must not run."""
    (tmp_path / "site/some_nets/models").mkdir(parents=True)
    (tmp_path / "site/some_nets/__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "site/some_nets/models/net.pth").write_bytes(CARGO)
    (tmp_path / "site/secret.pth").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")


@pytest.mark.parametrize(
    "weights",
    [
        {"source": "package:some_nets/models/net.pth", "sha256": DIGEST, "rename": [{r"^(a)\.": r"\1_"}, {"b": ""}]},
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
def test_weights_may_be_shipped_fetched_or_a_file(weights, shipped, installed, schema, root):
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
            f"{SOURCE} = 'package:../data/small.safetensors': '..' is no package's name as Python imports it; "
            "write package:MODULE/path/to/FILE",
        ),
        ({"source": "package:small.safetensors"}, f"{SHA256} = null: {NEEDED}; it is {FOUND}"),
        ({"source": "package:small.safetensors", "sha256": None}, f"{SHA256} = null: {NEEDED}; it is {FOUND}"),
        ({"source": "package:some_nets/models/net.pth"}, f"{SHA256} = null: {NEEDED}; it is {FOUND}"),
        (
            {"source": "package:other_nets/net.pth", "sha256": DIGEST},
            f"{SOURCE} = 'package:other_nets/net.pth': no package 'other_nets' is installed; "
            "try pip install other-nets",
        ),
        (
            {"source": "package:some_nets/net.pth", "sha256": DIGEST},
            f"{SOURCE} = 'package:some_nets/net.pth': there is no file 'net.pth' in {{site}}/some_nets",
        ),
        (
            {"source": "package:some_nets/../secret.pth", "sha256": DIGEST},
            f"{SOURCE} = 'package:some_nets/../secret.pth': there is no file '../secret.pth' in {{site}}/some_nets",
        ),
        (
            {"source": "package:some-nets/models/net.pth", "sha256": DIGEST},
            f"{SOURCE} = 'package:some-nets/models/net.pth': 'some-nets' is no package's name as Python imports it; "
            "write package:MODULE/path/to/FILE",
        ),
        (
            {"source": "timm", "rename": [{"(a": "b"}]},
            f"{RENAME}[0] = {{'(a': 'b'}}: no regular expression with its replacement: "
            "missing ), unterminated subpattern at position 0",
        ),
        (
            {"source": "timm", "rename": [{"a": "b", "c": "d"}]},
            f"{RENAME}[0] = {{'a': 'b', 'c': 'd'}}: must be one regular expression and its replacement, "
            r"as in {^layers\.: blocks.}",
        ),
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
def test_wrong_weights_are_explained(weights, line, shipped, installed, schema, root, tmp_path):
    expected = line.replace("{root}", str(root)).replace("{site}", str(tmp_path / "site"))
    assert problems(changed("backbones/net/weights", weights), schema, root) == [expected]


def test_a_missing_checkpoint_is_named_in_full(schema, root):
    (line,) = problems(changed("backbones/net/weights/source", "nets.pt"), schema, root)
    assert line == f"{SOURCE} = 'nets.pt': there is no file '{root}/nets.pt'"


def test_a_package_that_ships_nothing_says_so(monkeypatch, tmp_path, schema, root):
    monkeypatch.setattr(packages.importlib.resources, "files", lambda package: tmp_path)
    weights = {"source": "package:small.safetensors", "sha256": DIGEST}
    (line,) = problems(changed("backbones/net/weights", weights), schema, root)
    assert line == f"{SOURCE} = 'package:small.safetensors': no such file; none is defined"
