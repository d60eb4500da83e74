"""What one process cannot show: jobs beside and after each other, and what CUDA reads when it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from gpu import scripts

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("gpu")]

JOB = """
import os, sys, torch
from prunetransfer.runtime.devices import prepare_process
device = prepare_process(1, 0)
assert torch.cuda.device_count() == 1
print(torch.ones(2, device=device).sum().item(), os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.readline()
"""
STRICT = """
import torch
from prunetransfer.runtime.devices import prepare_process
device = prepare_process(1, 0)
torch.use_deterministic_algorithms(True)
print((torch.ones(64, 64, device=device) @ torch.ones(64, 64, device=device)).sum().item())
"""


def test_two_jobs_never_share_a_gpu(environment):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    jobs = [subprocess.Popen([sys.executable, "-c", JOB], **pipes)]
    try:
        first = jobs[0].stdout.readline()
        assert first.startswith("2.0 ")
        jobs.append(subprocess.Popen([sys.executable, "-c", JOB], **pipes))
        second = jobs[1].stdout.readline()
        if second.startswith("waiting for a GPU"):
            jobs[0].kill()
            assert jobs[1].stdout.readline() == first
        else:
            assert second.startswith("2.0 ")
            assert second != first
    finally:
        for job in jobs:
            job.kill()
            job.communicate()


def test_matrix_products_are_deterministic(environment):
    """cuBLAS says whether its workspace was set before CUDA started: else PyTorch raises here."""
    done = subprocess.run([sys.executable, "-c", STRICT], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str(64.0**3), done.stderr


def run_scripts(folder: Path, environment: dict[str, str]) -> dict[str, np.ndarray]:
    folder.mkdir()
    command = [sys.executable, "-m", "gpu.scripts", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return scripts.results(folder)


def test_scripts_write_the_same_in_every_process_and_what_the_cpu_writes(environment, tmp_path):
    first, second = (run_scripts(tmp_path / name, environment) for name in ("first", "second"))
    cpu = run_scripts(tmp_path / "cpu", environment | {"CUDA_VISIBLE_DEVICES": ""})
    assert scripts.devices(tmp_path / "first") == {torch.cuda.get_device_name()}
    assert scripts.devices(tmp_path / "cpu") == {"cpu"}
    assert [name for name in first if not np.array_equal(first[name], second[name], equal_nan=True)] == []
    scripts.assert_close(first, cpu)
