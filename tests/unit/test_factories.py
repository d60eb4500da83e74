"""Networks of the user's own: whether there is one is told before any job, and an edit is another network."""

from __future__ import annotations

import hashlib

import pytest

from prunetransfer.config.factories import factory_digest, unknown_factory
from prunetransfer.config.pins import pin

NET = """
from torch import nn
import layers
from helpers.blocks import block
made, (other, *more) = nn.Linear, (1, 2)
if True:
    def build():
        hidden = block
        return hidden
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A file and a package, neither of which may be run."""
    (tmp_path / "net.py").write_text(NET + "raise RuntimeError('run')")
    (tmp_path / "layers.py").write_text("WIDTH = 3")
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers/__init__.py").write_text("from . import later")
    (tmp_path / "helpers/blocks.py").write_text("from .deep import x")
    (tmp_path / "helpers/deep.py").write_text("x = 1")
    (tmp_path / "helpers/later.py").write_text("y = 1")
    (tmp_path / "unrelated.py").write_text("z = 1")
    (tmp_path / "site/nets").mkdir(parents=True)
    (tmp_path / "site/nets/__init__.py").write_text("raise RuntimeError('run')")
    (tmp_path / "site/nets/wide.py").write_text("from .parts import p\nclass Wide: ...")
    (tmp_path / "site/nets/parts.py").write_text("p = 1")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path


@pytest.mark.parametrize("name", ["build", "block", "nn", "made", "other", "more"])
def test_what_a_module_defines_is_known(root, name):
    assert unknown_factory(f"net.py:{name}", root) is None


@pytest.mark.parametrize(
    ("architecture", "problem"),
    [
        ("net.py:biuld", "no such name in net.py; defined are block, build, layers, made, more, nn, other. "
         "Did you mean 'build'?"),
        ("net.py:hidden", "no such name in net.py; defined are block, build, layers, made, more, nn, other"),
        ("nett.py:build", "there is no file '{root}/nett.py'"),
        ("no_such_nets.wide:Wide", "no module 'no_such_nets.wide' is installed"),
        ("nets.narrow:Wide", "no module 'nets.narrow' is installed"),
        ("nets.wide:Wild", "no such name in nets.wide; defined are Wide, p. Did you mean 'Wide'?"),
        ("broken.py:build", "{root}/broken.py, line 2: invalid syntax"),
    ],
)  # fmt: skip
def test_a_factory_that_is_not_there_is_told(root, architecture, problem):
    (root / "broken.py").write_text("x = 1\ndef = 2\n")
    found = unknown_factory(architecture, root)
    assert found == problem.format(root=root)


@pytest.mark.parametrize("text", ["from torch import *", "globals()['build'] = 1", "def __getattr__(name): ..."])
def test_names_that_the_text_does_not_show_are_let_pass(tmp_path, text):
    (tmp_path / "net.py").write_text(text)
    assert unknown_factory("net.py:build", tmp_path) is None


def test_a_module_of_an_installed_package_is_known_and_has_no_digest(tmp_path):
    assert unknown_factory("torchvision.models:resnet50", tmp_path) is None
    assert factory_digest("torchvision.models:resnet50", tmp_path) is None


@pytest.mark.parametrize(
    ("architecture", "file", "counts"),
    [
        ("net.py:build", "net.py", True),
        ("net.py:build", "layers.py", True),
        ("net.py:build", "helpers/__init__.py", True),
        ("net.py:build", "helpers/later.py", True),
        ("net.py:build", "helpers/deep.py", True),
        ("net.py:build", "unrelated.py", False),
        ("nets.wide:Wide", "site/nets/wide.py", True),
        ("nets.wide:Wide", "site/nets/parts.py", True),
        ("nets.wide:Wide", "net.py", False),
    ],
)
def test_an_edit_of_what_a_factory_imports_counts(root, architecture, file, counts):
    from prunetransfer.stages import code_digest as digest

    def found() -> str | None:
        for function in (digest.syntax_tree, digest._imported, digest._normalised):
            function.cache_clear()  # each is kept for one process, in which no file changes
        return factory_digest(architecture, root)

    before = found()
    text = (root / file).read_text()
    (root / file).write_text(f"# a comment\n{text}\n")
    assert found() == before is not None
    (root / file).write_text(f"{text}\nnew = 1\n")
    assert (found() != before) is counts


def test_the_files_that_a_backbone_is_made_from_are_pinned(root):
    (root / "net.pt").write_bytes(b"weights")
    own = {"architecture": "net.py:build", "weights": {"source": "net.pt", "sha256": None}}
    named = {"architecture": "resnet18", "weights": {"source": "net.pt", "sha256": "0" * 64}}
    fetched = {"architecture": "resnet18", "weights": {"source": "timm", "sha256": None}}
    pin({"backbones": {"own": own, "named": named, "fetched": fetched}, "plugins": []}, root)
    assert own["weights"]["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert own["code"] == factory_digest("net.py:build", root)
    assert named["weights"]["sha256"] == "0" * 64 and "code" not in named
    assert fetched["weights"]["sha256"] is None
