"""What a run sets up for its jobs: the config that it began with, and the environment that they inherit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from prunetransfer.runtime.leases import JOBS_PER_GPU
from prunetransfer.stages.code_digest import git_revision
from prunetransfer.storage.provenance import REVISION

BEGAN_WITH = "PRUNETRANSFER_CONFIG"  # the file that holds the config of the run
# Threads that wait for each other without giving way cost 5 to 10 times the work where more of them run than there are
# cores; memory that is handed back after every batch, or in small pages, costs up to a third (docs/benchmarks.md). One
# arena: what one thread of a recovery has freed, the next one uses.
MALLOC = {"arena_max": 1, "hugetlb": 1, "mmap_threshold": 2**30, "trim_threshold": 2**30}
INHERITED = {
    "GOMP_SPINCOUNT": "1000",
    "GLIBC_TUNABLES": ":".join(f"glibc.malloc.{name}={value}" for name, value in MALLOC.items()),
    # timm compiles functions at import in a way that PyTorch will drop: nothing that a reader of the terminal can mend.
    "PYTHONWARNINGS": "ignore::FutureWarning:torch.jit._script",
}


def prepare(workflow: Any, validated: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The config of this run, with the environment set that its jobs inherit; called when Snakemake reads the rules.

    workflow: Snakemake's; validated: gives the config as it stands now, checked. A job reads the rules anew, on a
    cluster perhaps hours later: it goes on with the config that its run began with, whatever was edited since (see
    `begin`). Sets the variables of INHERITED where nobody has; the git revision, which goes into every file's
    provenance (as one of a rule's `params` it would rerun every job after a commit); how many jobs share a GPU; and
    hides all GPUs if the config says `gpu: false`.
    """
    is_job = workflow.remote_exec or workflow.subprocess_exec
    if is_job and BEGAN_WITH in os.environ:
        config = json.loads(Path(os.environ[BEGAN_WITH]).read_text(encoding="utf-8"))
    else:
        config = validated()
    for name, value in INHERITED.items():
        os.environ.setdefault(name, value)
    if REVISION not in os.environ:
        os.environ[REVISION] = git_revision(Path(workflow.basedir)) or ""
    os.environ[JOBS_PER_GPU] = str(config["jobs_per_gpu"])
    if config["gpu"] is False:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return config


def begin(workflow: Any, config: dict[str, Any]) -> None:
    """What is done once, when jobs are about to run: keep the config for them, and lift a limit of the scheduler's.

    With its own limit of 100 new jobs a second, Snakemake starts another timer for every job that ends, and no timer
    ever stops: after 150 jobs they take a third of a core. A limit that somebody sets is kept.
    """
    text = json.dumps(config)
    began_with = Path(f".snakemake/configs/{sha256(text.encode()).hexdigest()[:16]}.json").resolve()
    began_with.parent.mkdir(exist_ok=True)
    began_with.write_text(text, encoding="utf-8")
    os.environ[BEGAN_WITH] = str(began_with)
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None
