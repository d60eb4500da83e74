"""What stage this process is in and what it has taken so far; the files that it writes carry that.

Standard library only, and no package is imported for its version.
"""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prunetransfer import __version__

# Set by the workflow, once for all its jobs.
REVISION = "PRUNETRANSFER_REVISION"
PACKAGES = ("numpy", "pandas", "torch", "timm")

_job: dict[str, Any] = {}  # what is known of the stage that this process is in; nothing outside of one
_start = 0.0


@contextmanager
def of_stage(stage: str, code: str | None, wildcards: dict[str, str], settings: dict[str, Any]) -> Iterator[None]:
    """All files written inside carry what is known of the job.

    That is its rule, the digest of its code, what its wildcards stand for, and the settings that it was given.
    """
    global _start
    _start = time.perf_counter()
    seed = int(wildcards["seed"]) if "seed" in wildcards else None
    _job.update(stage=stage, code=code, wildcards=wildcards, settings=settings, seed=seed, device="cpu")
    try:
        yield
    finally:
        _job.clear()


def note(**facts: Any) -> None:
    """Tell what else is known of the job, if this process is in one: `seed`, `device`."""
    if _job:
        _job.update(facts)


def facts() -> dict[str, Any]:
    """What is known of the job, the git revision, the versions of what was imported, seconds and peak memory in MB.

    Seconds and memory are those until now. Nothing outside of a stage.
    """
    if not _job:
        return {}
    torch = sys.modules.get("torch")
    gpu = torch is not None and torch.cuda.is_initialized()
    return {
        **_job,
        "revision": os.environ.get(REVISION) or None,
        "versions": _versions(),
        "seconds": round(time.perf_counter() - _start, 3),
        "peak_mb": round(_peak_bytes() / 2**20, 1),
        "gpu_peak_mb": round(torch.cuda.max_memory_allocated() / 2**20, 1) if gpu else None,
    }


def _versions() -> dict[str, str]:
    used = {name: sys.modules[name] for name in PACKAGES if name in sys.modules}
    versions = {name: str(module.__version__) for name, module in used.items()}
    if "torch" in used and used["torch"].version.cuda:
        versions["cuda"] = used["torch"].version.cuda
    return {"python": platform.python_version(), "prunetransfer": __version__, **versions}


def _peak_bytes() -> int:
    """The most memory that this process held. Linux's getrusage would count what its parent held at the start."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
