"""The workflow on a real SLURM cluster, where there is one: tests/slurm/start makes this machine one."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time

import pytest
from pandas.testing import assert_frame_equal

from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.tables import read_table

TABLE = "results/tiny/tables/accuracy.parquet"


def ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(autouse=True)
def cluster() -> None:
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True).returncode:
        pytest.skip("no SLURM cluster here: tests/slurm/start makes this machine one")


def run(study) -> subprocess.Popen:
    """Snakemake through SLURM, without the accounting and the patience that a real cluster has."""
    options = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1")
    return study.start("--profile", "profiles/slurm", *options, "--restart-times", "0")


def jobs_of(rule: str) -> list[dict[str, str]]:
    """What SLURM knows of the jobs of a rule, by their names there."""
    records = ask("scontrol", "show", "job", "--oneliner").splitlines()
    jobs = [dict(re.findall(r"(\S+?)=(\S*)", record)) for record in records]
    return [job for job in jobs if f"/rule_{rule}/" in job.get("StdOut", "")]


def test_a_cancelled_job_is_made_up_for_by_a_second_run(new_study, finished_study):
    first = run(new_study)
    try:
        victim = None
        while victim is None:
            assert first.poll() is None, first.communicate()[1]
            time.sleep(0.2)
            victim = next((job for job in jobs_of("recover") if job["JobState"] == "RUNNING"), None)
        ask("scancel", victim["JobId"])
        _, log = first.communicate(timeout=600)
    finally:
        first.send_signal(signal.SIGINT)
    assert first.returncode != 0
    assert "'CANCELLED'" in log
    assert {job["JobState"] for job in jobs_of("compute_score")} == {"COMPLETED"}
    assert all(job["TresPerJob"] == "gres:gpu:1" for rule in ("fit_head", "evaluate") for job in jobs_of(rule))
    assert all("TresPerJob" not in job for job in jobs_of("prepare_images"))
    assert jobs_of("fit_head")
    assert jobs_of("prepare_images") and not jobs_of("build_mask"), "masks are made where Snakemake runs"

    done = len(jobs_of("compute_score"))
    second = run(new_study)
    _, log = second.communicate(timeout=600)
    assert second.returncode == 0, log
    assert len(jobs_of("compute_score")) == done, "scores were there and are not made again"
    there, here = (read_table(study.folder / TABLE, ACCURACY) for study in (new_study, finished_study))
    unlike = ["images_per_second"]
    assert_frame_equal(there.drop(columns=unlike), here.drop(columns=unlike))
