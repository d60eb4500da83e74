"""A tiny study of the real workflow, run once; tests change a copy of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

CONFIG = {
    "study": "tiny",
    "backbones": {
        "net": {
            "architecture": "net.py:net",
            "pretraining": "none",
            "weights": {"source": "net.pt"},
            "size": 8,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25],
            "interpolation": "bicubic",
            "crop": 1.0,
        }
    },
    "datasets": {
        "red": {"kind": "folder", "path": "images/red"},
        "blue": {"kind": "folder", "path": "images/blue"},
        "green": {"kind": "folder", "path": "images/green"},
    },
    "sources": ["red"],
    "targets": ["red", "blue"],
    "scores": {"magnitude": {}, "diagonal": {"samples": 8}},
    "sparsities": [0.0, 0.4],
    "recoveries": {"none": {}, "finetune": {"epochs": 1, "learning_rate": 0.001, "sparsities": [0.4]}},
}

NETWORK = '''
"""A convolution, batch normalisation, a linear layer."""
from torch import nn

def net():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(24, 12)
    )
'''


class Study:
    """A folder with the workflow, the library and one config, in which real Snakemake runs."""

    def __init__(self, folder: Path):
        self.folder = folder

    def copied_to(self, folder: Path) -> Study:
        """A copy, file times and all."""
        shutil.copytree(self.folder, folder)
        return Study(folder)

    @property
    def config(self) -> dict:
        return yaml.safe_load((self.folder / "config.yaml").read_text())

    @config.setter
    def config(self, config: dict) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Snakemake with these arguments, going on while the test does."""
        environment = os.environ | {"PYTHONPATH": str(self.folder / "src")}
        command = [sys.executable, "-m", "snakemake", *arguments]
        pipe = subprocess.PIPE
        places = {"cwd": self.folder, "env": environment, "stdout": pipe, "stderr": pipe}
        return subprocess.Popen(command, text=True, **places, **options)

    def snakemake(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        cores = [] if "--report" in arguments else ["--cores", "2"]
        process = self.start(*cores, *arguments, **options)
        output, errors = process.communicate(timeout=600)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def run(self, *arguments: str) -> str:
        done = self.snakemake(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stderr + done.stdout

    def export(self, *choice: str) -> Path:
        """The folder that `prunetransfer export` wrote of the tiny study's backbone."""
        environment = os.environ | {"PYTHONPATH": str(self.folder / "src")}
        command = [sys.executable, "-m", "prunetransfer", "export", "results/tiny", "--backbone", "net", *choice]
        command += ["--out", "out"]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return self.folder / "out"

    def planned(self) -> set[str]:
        """What a dry run would make: the jobs' outputs, without the study's folder and the files' endings."""
        jobs = re.findall(r"^ +output: (.+)$", self.run("--dry-run"), flags=re.MULTILINE)
        return {self._short(job) for job in jobs}

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}"
        path.write_text(text.replace(old, new))

    @staticmethod
    def _short(outputs: str) -> str:
        first = outputs.split(", ")[0].removeprefix("results/tiny/").removesuffix("/seed0.parquet")
        return re.sub(r"(/train)?\.(safetensors|parquet|png|svg)$", "", first)


@pytest.fixture(scope="session")
def fresh_study(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The tiny study before its first run."""
    import torch

    folder = tmp_path_factory.mktemp("fresh") / "tiny"
    folder.mkdir()
    for name in ("workflow", "src", "profiles"):
        ignored = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.egg-info")
        shutil.copytree(repository / name, folder / name, ignore=ignored)
    shutil.copy(repository / "Snakefile", folder)
    (folder / "net.py").write_text(NETWORK)
    scope: dict = {}
    exec(NETWORK, scope)
    torch.manual_seed(0)
    torch.save(scope["net"]().state_dict(), folder / "net.pt")
    draw = np.random.default_rng(0)
    for channel, colour in enumerate(("red", "green", "blue")):
        for split, count in (("train", 12), ("test", 10)):
            for level in (60, 180):
                place = folder / "images" / colour / split / f"level{level}"
                place.mkdir(parents=True)
                for k in range(count):
                    pixels = draw.integers(0, 60, (8, 8, 3), dtype=np.uint8)
                    pixels[..., channel] += np.uint8(level)
                    Image.fromarray(pixels).save(place / f"{k}.png")
    study = Study(folder)
    study.config = CONFIG
    return study


@pytest.fixture(scope="session")
def finished_study(fresh_study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The tiny study after its first run; not to be changed."""
    study = fresh_study.copied_to(tmp_path_factory.mktemp("finished") / "tiny")
    study.run()
    return study


@pytest.fixture
def study(finished_study: Study, tmp_path: Path) -> Study:
    """A copy of the finished study, to change."""
    return finished_study.copied_to(tmp_path / "tiny")


@pytest.fixture
def new_study(fresh_study: Study, tmp_path: Path) -> Study:
    """A copy of the study before its first run, to change."""
    return fresh_study.copied_to(tmp_path / "tiny")
