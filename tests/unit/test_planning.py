"""The plan's arithmetic: what is on record decides, the closest first; of a stage that never ran nothing is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from prunetransfer.stages.planning import Job, Kind, page, plan

RECORDS = [
    (Kind("evaluate", "none", "a"), 10),
    (Kind("evaluate", "none", "a"), 20),
    (Kind("evaluate", "none", "b"), 90),
    (Kind("evaluate", "moments", "b"), 200),
]


@pytest.fixture
def evaluate(tmp_path: Path):
    """Makes an evaluation; one that is done has left 1000 bytes of output."""
    names = iter(range(100))

    def make(method: str, backbone: str, done: bool = False, **facts) -> Job:
        output = tmp_path / f"{next(names)}.parquet"
        if done:
            output.write_bytes(bytes(1000))
        job = Job(Kind("evaluate", method, backbone), pending=not done, threads=2, gpus=0, outputs=(output,))
        return replace(job, **facts)

    return make


def test_the_closest_records_decide(evaluate):
    for method, backbone, seconds in (("none", "a", 15), ("none", "new", 40), ("new", "new", 80)):
        stage = plan([evaluate("none", "a", done=True), evaluate(method, backbone)], RECORDS)["evaluate"]
        assert stage.cpu_seconds == pytest.approx(seconds * 2)  # two threads
        assert (stage.jobs, stage.cached, stage.unknown, stage.bytes) == (1, 1, 0, 1000)


def test_gpu_jobs_count_as_gpu_time_and_temporary_files_as_such(evaluate):
    jobs = [evaluate("none", "a", done=True), *(evaluate("none", "a", gpus=1, temporary=True) for _ in range(2))]
    stage = plan(jobs, RECORDS)["evaluate"]
    assert (stage.cpu_seconds, stage.gpu_seconds) == (0, 2 * 15)
    assert (stage.temporary, stage.bytes) == (2, 2000)


def test_a_stage_that_never_ran_is_marked_and_in_no_sum(evaluate):
    other = replace(evaluate("none", "a"), kind=Kind("recover", "moments", "a"))
    stages = plan([evaluate("none", "a"), other], RECORDS)
    assert (stages["recover"].unknown, stages["recover"].cpu_seconds) == (1, 0)
    text = page("mini", stages, ["weights of a (timm): size not known here"])
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert rows["evaluate"] == ["1", "0", "0:00:30"]
    assert rows["recover"] == ["1", "0", "*"]
    assert rows["all"] == ["2", "0", "0:00:30", "*"]
    assert "Study mini: 2 jobs to run, 0 cached." in text
    assert "* 1 of the jobs are not in the sums" in text
    assert text.endswith("Downloads:\n  weights of a (timm): size not known here")


def test_a_finished_study_has_no_table(evaluate):
    assert page("mini", plan([evaluate("none", "a", done=True)], []), []) == "Study mini: 0 jobs to run, 1 cached."
