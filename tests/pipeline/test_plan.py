"""The plan, the lines of a run, and files that a study does not keep."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from prunetransfer.pruning.masks import read_mask
from prunetransfer.storage.schemas.dense import DENSE
from prunetransfer.storage.tables import read_table


def by_hand(study, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`prunetransfer` with these arguments in the study's folder."""
    environment = os.environ | {"PYTHONPATH": str(study.folder / "src")}
    command = [sys.executable, "-m", "prunetransfer", *arguments]
    return subprocess.run(command, cwd=study.folder, env=environment, capture_output=True, text=True)


def planned(study) -> dict[str, list[str]]:
    """The plan's columns of each stage: to run, cached, and the rest."""
    done = by_hand(study, "plan", "--configfile", "config.yaml")
    assert done.returncode == 0, done.stderr
    rows = (line.split() for line in done.stdout.splitlines())
    return {"page": [done.stdout]} | {row[0]: row[1:] for row in rows if len(row) > 2 and row[1].isdigit()}


def test_plan_run_and_temporary_files(new_study):
    study = new_study
    study.config |= {"temporary": ["scores", "recovered"]}
    plan = planned(study)
    assert plan["evaluate"][:2] == ["8", "0"] and plan["evaluate"][-1] == "*"
    assert "Temporary, removed once they are used: the files of 4 of the jobs." in plan["page"][0]
    assert not (study.folder / "results").exists()

    output = study.run()
    jobs = int(plan["all"][0]) + 1  # and the target that asks for them
    assert [int(place) for place in re.findall(rf"^\[ *(\d+)/{jobs}\] ", output, re.MULTILINE)] == [*range(1, jobs + 1)]
    assert re.search(r"^\[.* s  evaluate net diagonal@red → blue\b", output, re.MULTILINE)
    assert "rule evaluate:" not in output
    results = study.folder / "results/tiny"
    assert not list(results.glob("scores/**/*.safetensors")) and not list(results.glob("recovered/**/*.safetensors"))
    assert list(results.glob("images/**/*.safetensors")) and list(results.glob("masks/**/*.safetensors"))

    assert study.planned() == set()
    assert f"0 jobs to run, {jobs - 1} cached" in planned(study)["page"][0]
    # A new target wants the recovered weights again, so they are made again, and so is what was read from them.
    study.config |= {"targets": ["red", "blue", "green"]}
    plan = planned(study)
    assert plan["recover"][:2] == ["2", "0"] and plan["compute_score"][:2] == ["2", "0"]
    assert plan["fit_head"][:2] == ["1", "2"] and plan["evaluate"][-1] != "*"


def test_one_job_runs_by_hand(study):
    mask = study.folder / "results/tiny/masks/net/diagonal@red/seed0/0.4.safetensors"
    before = read_mask(mask)
    mask.unlink()
    done = by_hand(study, "job", "build_mask", "criterion=diagonal@red", "mask=0.4")
    assert done.returncode == 0 and "build_mask: done in" in done.stderr
    assert {name: keep.tolist() for name, keep in read_mask(mask).items()} == {
        name: keep.tolist() for name, keep in before.items()
    }
    table = study.folder / "results/tiny/tables/dense.parquet"
    table.unlink()
    done = by_hand(study, "job", "dense")
    assert done.returncode == 0 and len(read_table(table, DENSE)) == 2, done.stderr
    for arguments, message in (
        (["build_mask", "mask=0.4"], "build_mask: 2 jobs match, not one; there are backbone=net criterion=diag"),
        (["build_mask", "mask=0.5"], "build_mask: 0 jobs match, not one; there are backbone=net criterion=diag"),
        (["bild_mask"], "no such rule; those of the study's jobs are aggregate_accuracy,"),
    ):
        done = by_hand(study, "job", *arguments)
        assert done.returncode == 1 and f"prunetransfer: {message}" in done.stderr
