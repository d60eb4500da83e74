"""The code digest: what runs counts, what a reader sees does not, and each stage's digest covers what it imports."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from prunetransfer.stages import code_digest as digest

SCORE_SCRIPT = """
from prunetransfer.settings.registry import find
from prunetransfer.stages.stage import stage

with stage(snakemake):
    print(find)
"""


@pytest.fixture
def package(tmp_path, repository, monkeypatch) -> Path:
    """A copy of the package that a test may edit; the digest looks there."""
    copy = tmp_path / "src" / "prunetransfer"
    shutil.copytree(repository / "src/prunetransfer", copy, ignore=shutil.ignore_patterns("data", "__pycache__"))
    monkeypatch.setattr(digest, "PACKAGE", copy)
    yield copy
    forget()


@pytest.fixture
def script(tmp_path, package) -> Path:
    path = tmp_path / "workflow" / "compute_score.py"
    path.parent.mkdir()
    path.write_text(SCORE_SCRIPT)
    return path


def forget() -> None:
    """A new process would not remember the files."""
    for cached in (digest._own_imports, digest._imported, digest.syntax_tree, digest._normalised):
        cached.cache_clear()


def code_digest(script: Path, *modules: str) -> str:
    forget()
    return digest.code_digest(script, *modules)


def edit(file: Path, change: Callable[[str], str]) -> None:
    before = file.read_text()
    file.write_text(change(before))
    assert file.read_text() != before


def replaced(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


READERS = {
    "comment": ("features", lambda text: "# a comment\n" + text.replace(")\n", ")  # another\n")),
    "module docstring": ("features", lambda text: re.sub('^"""', '"""Other words. ', text)),
    "function docstring": ("features", replaced('"""½', '"""Other words: ½')),
    "class docstring": ("source", replaced('"""The dense backbone', '"""A dense backbone')),
    "what a setting means": ("features", replaced("Random directions", "How many random directions")),
    "formatting": (
        "diagonal",
        lambda text: text.replace(", ", ",\\\n        ").replace("0.5 *", "0.50*").replace("\n\n", "\n\n\n"),
    ),
    "quotes": ("features", replaced('"squared"', "'squared'")),
}


@pytest.mark.parametrize("change", READERS)
def test_what_only_a_reader_sees_does_not_count(package, script, change):
    module, change = READERS[change]
    before = code_digest(script, "criteria.features", "criteria.diagonal")
    edit(package / f"criteria/{module}.py", change)
    assert code_digest(script, "criteria.features", "criteria.diagonal") == before


def test_what_the_types_of_settings_allow_does_not_count(package, script):
    before = code_digest(script, "recovery.moments")
    edit(package / "settings/types.py", replaced("ge=1", "ge=2"))
    assert code_digest(script, "recovery.moments") == before


def test_the_default_of_a_setting_counts(package, script):
    before = code_digest(script, "recovery.moments")
    edit(package / "recovery/moments.py", replaced("samples: Unlabelled = 256", "samples: Unlabelled = 128"))
    assert code_digest(script, "recovery.moments") != before


def test_file_times_do_not_count(package, script):
    before = code_digest(script)
    for file in [script, *package.rglob("*.py")]:
        file.touch()
    assert code_digest(script) == before


def test_where_the_files_lie_does_not_count(package, script, tmp_path, monkeypatch):
    before = code_digest(script, "criteria.block")
    for parent in ("a", "z"):  # to one side of the package and to the other
        moved = tmp_path / parent / "compute_score.py"
        moved.parent.mkdir()
        shutil.copy(script, moved)
        assert code_digest(moved, "criteria.block") == before
    elsewhere = tmp_path / "site-packages" / "prunetransfer"
    shutil.copytree(package, elsewhere)
    monkeypatch.setattr(digest, "PACKAGE", elsewhere)
    assert code_digest(script, "criteria.block") == before


def test_the_script_itself_counts(package, script):
    before = code_digest(script)
    edit(script, replaced("print(find)", "print([find])"))
    assert code_digest(script) != before


@pytest.mark.parametrize("file", ["settings/registry.py", "stages/stage.py"])
def test_what_the_script_imports_counts(package, script, file):
    before = code_digest(script)
    edit(package / file, lambda text: text + "\nMORE = 1\n")
    assert code_digest(script) != before


def test_what_the_script_does_not_import_does_not_count(package, script):
    before = code_digest(script)
    edit(package / "heads/ridge.py", lambda text: text + "\nMORE = 1\n")
    assert code_digest(script) == before


@pytest.mark.parametrize(
    "file",
    ["models/backbones.py", "storage/artifacts.py", "datasets/splits.py", "curvature/gradients.py", "heads/losses.py"],
)
def test_modules_named_at_run_time_count_with_all_they_import(package, script, file):
    alone, whole = code_digest(script), code_digest(script, "criteria.diagonal")
    assert alone != whole
    edit(package / file, lambda text: text + "\nMORE = 1\n")
    assert code_digest(script) == alone
    assert code_digest(script, "criteria.diagonal") != whole


@pytest.mark.parametrize(
    "statement",
    [
        "from prunetransfer.extra import more",
        "from prunetransfer import extra",
        "import prunetransfer.extra",
        "import prunetransfer.extra as short",
        "def work():\n    from prunetransfer.extra import more",
        "if snakemake:\n    import json, prunetransfer.extra",
        "from prunetransfer.between import more",
    ],
)
def test_every_way_to_import_is_followed(package, script, statement):
    (package / "extra.py").write_text("more = 1\n")
    (package / "between.py").write_text("import math\ndef lazily():\n    from prunetransfer.extra import more\n")
    script.write_text(f"{statement}\n")
    before = code_digest(script)
    (package / "extra.py").write_text("more = 2\n")
    assert code_digest(script) != before


def test_a_package_is_followed_into_its_init(package, script):
    (package / "room").mkdir()
    (package / "room/__init__.py").write_text("more = 1\n")
    script.write_text("from prunetransfer.room import more\n")
    before = code_digest(script)
    (package / "room/__init__.py").write_text("more = 2\n")
    assert code_digest(script) != before


def test_modules_that_import_each_other_end(package, script):
    (package / "one.py").write_text("import prunetransfer.two\n")
    (package / "two.py").write_text("import prunetransfer.one\n")
    script.write_text("import prunetransfer.one\n")
    assert re.fullmatch("[0-9a-f]{16}", code_digest(script))


def test_an_edited_score_leaves_the_others(package, script):
    names = ("magnitude", "diagonal", "block")
    before = {name: code_digest(script, f"criteria.{name}") for name in names}
    assert len(set(before.values())) == 3
    edit(package / "criteria/block.py", replaced("0.5 * w", "0.6 * w"))
    after = {name: code_digest(script, f"criteria.{name}") for name in names}
    assert [name for name in names if after[name] != before[name]] == ["block"]


def test_a_new_score_leaves_the_others(package, script):
    before = [code_digest(script, f"criteria.{name}") for name in ("magnitude", "block")]
    (package / "criteria/none.py").write_text("@score(sees=None)\ndef none(source):\n    return source.weights()\n")
    assert [code_digest(script, f"criteria.{name}") for name in ("magnitude", "block")] == before


def test_a_new_pattern_leaves_the_masks_of_the_others(package, script):
    script.write_text("from prunetransfer.pruning.making import make_mask\n")
    names = ("unstructured", "n_m")
    before = {name: code_digest(script, f"pruning.patterns.{name}") for name in names}
    (package / "pruning/patterns/none.py").write_text("@pattern()\ndef none(ranking, sparsity):\n    return {}\n")
    edit(package / "pruning/patterns/n_m.py", replaced("m - n", "m + n"))
    after = {name: code_digest(script, f"pruning.patterns.{name}") for name in names}
    assert [name for name in names if after[name] != before[name]] == ["n_m"]


@pytest.mark.parametrize("file", ["criteria/source.py", "curvature/gradients.py"])
def test_what_all_scores_share_counts_for_each(package, script, file):
    before = {name: code_digest(script, f"criteria.{name}") for name in ("magnitude", "block")}
    edit(package / file, lambda text: text + "\n\ndef helper():\n    return 1\n")
    assert all(code_digest(script, f"criteria.{name}") != old for name, old in before.items())


def test_what_a_score_sees_counts(package, script):
    before = code_digest(script, "criteria.diagonal")
    edit(package / "criteria/diagonal.py", replaced('@score(sees="labels",', '@score(sees="images",'))
    assert code_digest(script, "criteria.diagonal") != before


def test_the_revision_tells_files_that_differ_from_it(tmp_path):
    def git(*command: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *identity, *command], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    git("init")
    (tmp_path / "Snakefile").write_text("rule all:")
    git("add", ".")
    git("commit", "-m", "first")
    git("tag", "-m", "a release", "v1")
    commit = git("rev-parse", "HEAD").strip()
    assert digest.git_revision(tmp_path) == commit
    (tmp_path / "Snakefile").write_text("rule other:")
    assert digest.git_revision(tmp_path) == f"{commit}-dirty"


def test_outside_of_git_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert digest.git_revision(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert digest.git_revision(tmp_path) is None
