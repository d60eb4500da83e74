"""Leases of simulated GPUs by real processes, some of which are killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from prunetransfer.runtime import leases
from prunetransfer.runtime.devices import prepare_process

JOB = """
import sys, time
from pathlib import Path
from prunetransfer.runtime.leases import lease
print(lease(sys.argv[3:], int(sys.argv[2]), Path(sys.argv[1])), flush=True)
time.sleep(600)
"""
Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start(tmp_path) -> Iterator[Start]:
    """Start a job that leases one of the devices, prints which and stays."""
    started = []

    def start(*devices: str, slots: int = 1) -> subprocess.Popen:
        command = [sys.executable, "-c", JOB, str(tmp_path), str(slots), *devices]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen) -> str:
    return process.stdout.readline().strip()


def test_a_job_without_a_slot_waits_and_gets_that_of_a_killed_one(start):
    first, second = start("0", "1"), start("0", "1")
    assert {line(first), line(second)} == {"0", "1"}
    third = start("0", "1")
    assert line(third).startswith("waiting for a GPU: 0, 1 are taken (1 a GPU")
    second.kill()
    second.wait()
    device = line(third)
    first.kill()
    first.wait()
    assert {device, line(start("0", "1"))} == {"0", "1"}


def test_jobs_share_a_device_once_every_device_has_one(start):
    taken = [line(start("0", "1", slots=2)) for _ in range(4)]
    assert taken == ["0", "1", "0", "1"]
    assert line(start("0", "1", slots=2)).startswith("waiting")


@pytest.fixture
def machine(monkeypatch, tmp_path) -> Callable[..., str | None]:
    """What a job sees after `prepare_process` on a machine with so many GPUs, as far as it was told which to see."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(leases, "_held", [])
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)

    def seen(count: int, given: str | None = None) -> str | None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if given is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        prepare_process(threads=1, seed=0)
        return os.environ.get("CUDA_VISIBLE_DEVICES")

    return seen


def test_each_job_sees_one_gpu_of_those_it_may_see(machine, tmp_path):
    assert [machine(4) for _ in range(3)] == ["0", "1", "2"]
    assert machine(2, given="GPU-8f, GPU-2c") == "GPU-8f"
    assert machine(2, given="2,3") == "3", "GPU 2 has a job of another study"
    held = sorted(file.name for file in Path(tmp_path).glob("*/*"))
    assert held == ["0.0", "1.0", "2.0", "3.0", "GPU-8f.0"]


def test_a_single_gpu_that_slurm_or_the_user_chose_is_taken_as_it_is(machine, tmp_path):
    assert [machine(1, given="3") for _ in range(2)] == ["3", "3"]
    assert machine(0, given="") == ""
    assert machine(0) is None
    assert not list(tmp_path.iterdir())


def test_jobs_per_gpu_comes_from_the_workflow(machine, monkeypatch):
    monkeypatch.setenv(leases.JOBS_PER_GPU, "2")
    assert [machine(1), machine(1)] == ["0", "0"]


def test_allocations_of_slurm_do_not_wait_for_each_other(machine, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert machine(2, given="0,1") == "0"
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    assert machine(2, given="0,1") == "0"
