"""What all tests share: where the repository and the shared data lie, and one thread for each process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything imports torch or NumPy, and inherited by what the tests start: tiny networks lose time to threads.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the working tree that is tested."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images and weights, PRUNETRANSFER_SHARED_DATA or ../shared/data; without it the test skips."""
    folder = Path(os.environ.get("PRUNETRANSFER_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder} (PRUNETRANSFER_SHARED_DATA names another folder)")
    return folder
