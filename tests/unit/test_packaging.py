"""pyproject.toml, requirements.lock, environment.yml and the Makefile say the same, and the wheel holds the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import prunetransfer

LINUX = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
MACOS = {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"}


@pytest.fixture(scope="module")
def project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def lock(repository: Path) -> dict[str, Requirement]:
    lines = (repository / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    by_name = {canonicalize_name(pin.name): pin for pin in pins}
    assert len(by_name) == len(pins), "a package is pinned twice"
    return by_name


@pytest.fixture(scope="module")
def direct(project: dict) -> list[Requirement]:
    """What pyproject.toml asks for: to run, to develop and to build."""
    develop = project["project"]["optional-dependencies"]["dev"]
    groups = [project["project"]["dependencies"], project["build-system"]["requires"], develop]
    return [Requirement(line) for group in groups for line in group]


def pinned(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    return specifier.version


def wanted(requirement: Requirement, platform: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(platform | {"extra": ""})


# --- the lock ---------------------------------------------------------------------------------------------------------


def test_lock_holds_exact_pins_and_nothing_else(repository: Path, lock: dict[str, Requirement]) -> None:
    for name, pin in lock.items():
        assert [specifier.operator for specifier in pin.specifier] == ["=="], name
        assert "*" not in pinned(pin) and not pin.extras and not pin.url, name
    text = (repository / "requirements.lock").read_text()
    for trace in ("://", "--", "@", "/"):  # hosts, options, direct references, paths
        assert trace not in text


@pytest.mark.parametrize("platform", [LINUX, MACOS], ids=["linux", "macos"])
def test_lock_satisfies_pyproject(lock: dict[str, Requirement], direct: list[Requirement], platform: dict) -> None:
    for requirement in direct:
        pin = lock[canonicalize_name(requirement.name)]
        assert wanted(pin, platform), f"{requirement.name} is not installed on {platform['sys_platform']}"
        assert pinned(pin) in requirement.specifier, f"{pin} does not satisfy {requirement}: run make lock"


def test_lock_covers_all_that_the_dependencies_need(lock: dict[str, Requirement], direct: list[Requirement]) -> None:
    missing, seen, todo = set(), set(), [canonicalize_name(requirement.name) for requirement in direct]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in lock:
            missing.add(name)
            continue
        needs = [Requirement(line) for line in distribution(name).requires or []]
        todo += [canonicalize_name(need.name) for need in needs if wanted(need, {})]
    assert not missing
    assert len(seen) > len(direct)


def test_cuda_is_installed_on_linux_alone(lock: dict[str, Requirement]) -> None:
    cuda = {name for name in lock if name.startswith(("nvidia-", "cuda-")) or name == "triton"}
    assert {"triton", "nvidia-cublas"} <= cuda
    assert cuda == {name for name in cuda if wanted(lock[name], LINUX)}
    assert not [name for name in cuda if wanted(lock[name], MACOS)]


# --- conda ------------------------------------------------------------------------------------------------------------


def test_conda_installs_the_lock_and_the_project(repository: Path, project: dict) -> None:
    environment = yaml.safe_load((repository / "environment.yml").read_text())
    assert environment["name"] == project["project"]["name"]
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    python, pip, from_pip = environment["dependencies"]
    name, _, version = python.partition("=")
    assert name == "python" and f"{version}.0" in SpecifierSet(project["project"]["requires-python"])
    assert pip == "pip"
    assert from_pip == {"pip": ["-r requirements.lock", "-e ."]}  # versions stand in the lock and nowhere else


# --- the package ------------------------------------------------------------------------------------------------------


def test_wheel_holds_every_file_of_the_package(repository: Path, tmp_path: Path) -> None:
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(repository / name, tmp_path)
    shutil.copytree(repository / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    build = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"prunetransfer-{prunetransfer.__version__}-py3-none-any.whl"
    source = tmp_path / "src"
    files = {path.relative_to(source).as_posix() for path in source.glob("*prunetransfer/**/*") if path.is_file()}
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert shipped == files


# --- make -------------------------------------------------------------------------------------------------------------

STUB = """#!/bin/sh
# Stands in for Python, outside .venv and in it: notes how it is called and fails where FAIL matches.
echo "$*" >> calls
case "$*" in *"$FAIL"*) [ -n "$FAIL" ] && exit 1 ;; esac
case "$*" in "-m venv --clear .venv") rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python ;; esac
"""


class Checkout:
    """A copy of what the Makefile reads, with a stub for Python."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self.folder = folder
        for name in ("Makefile", "pyproject.toml", "requirements.lock"):
            shutil.copy(repository / name, folder)
        (folder / "config.yaml").write_text("seeds: [0]\nstudy: mini  # a name\n")
        (folder / "stub").write_text(STUB)
        (folder / "stub").chmod(0o755)

    def make(self, *arguments: str, fail: str = "") -> subprocess.CompletedProcess[str]:
        self.calls_file.unlink(missing_ok=True)
        # `make test` hands its own variables on; this make must not see them
        outer = {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "STUDY", "CORES"}
        clean = {name: value for name, value in os.environ.items() if name not in outer}
        command = ["make", "PYTHON=./stub", f"FAIL={fail}", *arguments]
        return subprocess.run(command, cwd=self.folder, env=clean, capture_output=True, text=True, check=False)

    @property
    def calls_file(self) -> Path:
        return self.folder / "calls"

    def calls(self, word: str) -> list[str]:
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        return [line for line in lines if word in line.split()]


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Checkout:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    folder = tmp_path / "checkout"
    folder.mkdir()
    return Checkout(repository, folder)


def test_make_study_installs_once(checkout: Checkout) -> None:
    assert checkout.make("study", "CORES=3").returncode == 0
    assert [call.split()[-1] for call in checkout.calls("install")] == ["requirements.lock", "."]
    assert checkout.calls("--cores") == ["-m snakemake --cores 3"]
    assert checkout.calls("summary") == ["-m prunetransfer summary results/mini"]
    assert checkout.make("study").returncode == 0
    assert not checkout.calls("install") and not checkout.calls("venv")
    assert checkout.calls("snakemake")


def test_make_study_takes_another_study(checkout: Checkout) -> None:
    (checkout.folder / "other.yaml").write_text("study: other\n")
    assert checkout.make("study", "STUDY=other.yaml").returncode == 0
    assert checkout.calls("--cores") == ["-m snakemake --configfile other.yaml --cores all"]
    assert checkout.calls("--report") == ["-m snakemake --configfile other.yaml --report results/other/report.html"]
    assert checkout.calls("summary") == ["-m prunetransfer summary results/other"]


def test_make_writes_the_report_when_tables_or_figures_are_newer(checkout: Checkout) -> None:
    results = checkout.folder / "results" / "mini"
    for name in ("tables", "figures"):
        (results / name).mkdir(parents=True)
    assert checkout.make("report").returncode == 0
    assert checkout.calls("--report") == ["-m snakemake --report results/mini/report.html"]
    (results / "report.html").touch()
    (results / "figures" / "one.png").touch()
    os.utime(results / "figures" / "one.png", (0, 0))
    later = time.time() + 60
    os.utime(results / "report.html", (later, later))
    checkout.make("report")
    assert not checkout.calls("--report")
    os.utime(results / "figures" / "one.png", (later + 1, later + 1))
    checkout.make("report")
    assert checkout.calls("--report")


def test_an_interrupted_install_starts_anew(checkout: Checkout) -> None:
    assert checkout.make("run", fail="requirements.lock").returncode != 0
    assert not checkout.calls("snakemake")
    assert checkout.make("run").returncode == 0
    assert checkout.calls("venv") and checkout.calls("install") and checkout.calls("snakemake")


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_only_changed_content_upgrades(checkout: Checkout, name: str) -> None:
    checkout.make("install")
    later = time.time() + 60
    os.utime(checkout.folder / name, (later, later))
    checkout.make("install")
    assert not checkout.calls("install")
    with (checkout.folder / name).open("a") as file:
        file.write("# changed\n")
    checkout.make("install")
    assert checkout.calls("install") and not checkout.calls("venv")


def test_an_interrupted_upgrade_starts_anew(checkout: Checkout) -> None:
    checkout.make("install")
    (checkout.folder / "requirements.lock").write_text("pip==1.0\n")
    assert checkout.make("install", fail="--no-deps").returncode != 0
    assert not checkout.calls("venv")
    assert checkout.make("install").returncode == 0
    assert checkout.calls("venv")


def test_a_moved_checkout_starts_anew(checkout: Checkout, tmp_path: Path) -> None:
    checkout.make("install")
    checkout.folder = checkout.folder.rename(tmp_path / "moved")
    assert checkout.make("install").returncode == 0
    assert checkout.calls("venv") and checkout.calls("install")


@pytest.mark.parametrize(("fail", "message"), [("version_info", "older than 3.11"), ("ensurepip", "venv module")])
def test_make_says_what_python_lacks(checkout: Checkout, fail: str, message: str) -> None:
    result = checkout.make("study", fail=fail)
    assert result.returncode != 0
    assert message in result.stderr and "./stub" in result.stderr
    assert not (checkout.folder / ".venv").exists()


def test_make_clean_removes_the_named_study_alone(checkout: Checkout) -> None:
    for name in ("mini", "paper"):
        (checkout.folder / "results" / name).mkdir(parents=True)
    assert checkout.make("clean").returncode == 0
    assert [path.name for path in (checkout.folder / "results").iterdir()] == ["paper"]
    (checkout.folder / "config.yaml").write_text("seeds: [0]\n")
    assert "study" in checkout.make("clean").stderr
    assert (checkout.folder / "results" / "paper").exists()


def test_make_help_lists_the_targets(checkout: Checkout) -> None:
    listed = {line.split()[1] for line in checkout.make().stdout.splitlines() if line.startswith("  make ")}
    assert {"study", "datasets", "test", "report", "lock", "clean"} <= listed
