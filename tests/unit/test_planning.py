"""The plan's arithmetic: what is on record decides, the closest first; else the model's word, marked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from prunetransfer.criteria.damping import GRID
from prunetransfer.stages.planning import Job, duration, modelled_seconds, page, plan, size


@pytest.fixture
def evaluate(tmp_path: Path):
    """Makes an evaluation; with seconds it has run: its record and 1000 bytes of output are there."""
    names = iter(range(100))

    def make(method: str, backbone: str, seconds: float | None = None, **facts) -> Job:
        place = tmp_path / str(next(names))
        if seconds is not None:
            columns = ["s", "h:m:s", "max_rss", "max_vms", "io_in", "io_out", "mean_load", "cpu_time"]
            values = [str(seconds), "0:00:05", *["1"] * 6]
            place.with_suffix(".tsv").write_text("\t".join(columns) + "\n" + "\t".join(values) + "\n")
            place.with_suffix(".parquet").write_bytes(bytes(1000))
        job = Job("evaluate", method, backbone, seconds is None, 2, 0, place.with_suffix(".tsv"), ())
        return replace(job, outputs=(place.with_suffix(".parquet"),), **facts)

    return make


def test_the_closest_records_decide(evaluate):
    done = [
        evaluate("none", "a", 10),
        evaluate("none", "a", 20),
        evaluate("none", "b", 90),
        evaluate("moments", "b", 200),
    ]
    for method, backbone, seconds in (("none", "a", 15), ("none", "new", 40), ("new", "new", 80)):
        stage = plan([*done, evaluate(method, backbone)])["evaluate"]
        assert stage.cpu_hours == pytest.approx(seconds * 2 / 3600)  # two threads
        assert (stage.jobs, stage.cached, stage.bytes, stage.modelled) == (1, 4, 1000, False)


def test_an_old_record_of_a_job_to_run_again_counts(evaluate):
    stage = plan([replace(evaluate("none", "a", 36), pending=True)])["evaluate"]
    assert (stage.jobs, stage.cached) == (1, 0)
    assert stage.cpu_hours == pytest.approx(0.02)


def test_gpu_jobs_count_as_gpu_hours_and_temporary_files_as_such(evaluate):
    jobs = [evaluate("none", "a", 72), *(evaluate("none", "a", gpus=1, temporary=True) for _ in range(2))]
    stage = plan(jobs)["evaluate"]
    assert (stage.cpu_hours, stage.gpu_hours) == (0, pytest.approx(0.04))
    assert stage.temporary_bytes == stage.bytes == 2000


def test_without_records_the_model_says_so(evaluate, tmp_path):
    weights, prepared = tmp_path / "w.safetensors", tmp_path / "digits-224-bicubic-0.875/test.safetensors"
    weights.write_bytes(bytes(94_000))
    prepared.parent.mkdir()
    prepared.write_bytes(bytes(5 * 3 * 224**2 + 500))  # five images, and the file's header
    inputs = {"weights": [str(weights)], "test": [str(prepared)], "pruned": ["1", "2", "3"]}
    job = evaluate("none", "a", inputs=inputs)
    # three masks and the dense backbone on five images, a network a thousandth as large as ResNet-50, two threads
    assert modelled_seconds(job) == pytest.approx(4 + 4 * 5 * 0.13 / 1000 / 2)
    stages = plan([job])
    assert stages["evaluate"].modelled
    text = page("mini", stages, ["weights of a (timm): size not known here"])
    assert "Study mini: 1 job to run, 0 cached." in text and "rough model" in text
    assert text.endswith("Downloads:\n  weights of a (timm): size not known here")


def test_a_damping_that_is_chosen_costs_a_pass_for_each_that_is_tried(evaluate):
    job = replace(evaluate("block", "a", inputs={"weights": ["none.safetensors"]}), stage="compute_score")
    given, chosen = (replace(job, settings={"samples": 10} | more) for more in ({}, {"damping_sparsities": [0.3, 0.5]}))
    assert modelled_seconds(given) == pytest.approx(4 + 6 * 10 * 0.13 / 2)
    assert modelled_seconds(chosen) == pytest.approx(4 + (6 + len(GRID) * 2) * 10 * 0.13 / 2)


def test_a_finished_study_has_no_table(evaluate):
    assert page("mini", plan([evaluate("none", "a", 1)]), []) == "Study mini: 0 jobs to run, 1 cached."


def test_numbers_read_well():
    assert [duration(s) for s in (8, 99, 100, 5900, 7200, 360000)] == [
        "8 s",
        "99 s",
        "2 min",
        "98 min",
        "2.0 h",
        "100 h",
    ]
    assert [size(b) for b in (400, 2e5, 9.94e6, 9.99e8, 1.2e11)] == ["0.4 kB", "200 kB", "9.9 MB", "999 MB", "120 GB"]
