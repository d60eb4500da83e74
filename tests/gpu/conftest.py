"""The GPU that this process leases, as a stage does; without one every test here is skipped, with the reason."""

from __future__ import annotations

import os
import sys

import pytest
import torch

from prunetransfer.runtime.devices import prepare_process

NAMED: list[str] = []


@pytest.fixture(scope="session")
def gpu() -> torch.device:
    if torch.cuda.device_count() == 0:
        pytest.skip("no GPU (torch.cuda.device_count() is 0)")
    device = prepare_process(threads=1, seed=0)
    NAMED.append(
        f"{torch.cuda.get_device_name()}, {torch.cuda.mem_get_info()[1] / 2**30:.0f} GiB; torch {torch.__version__}, "
        f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    )
    return device


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """For a process that sees what this one saw before it leased a GPU, with leases of its own."""
    ours = {"CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG"}
    path = os.pathsep.join(filter(None, sys.path))
    return {name: value for name, value in os.environ.items() if name not in ours} | {
        "PYTHONPATH": path,
        "TMPDIR": str(tmp_path),
    }


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name in NAMED:
        terminalreporter.section("device")
        terminalreporter.write_line(name)
