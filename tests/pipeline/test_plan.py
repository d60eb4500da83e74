"""The plan, the lines of a run, and files that a study does not keep."""

from __future__ import annotations

import os
import re
import subprocess
import sys


def planned(study) -> dict[str, list[str]]:
    """The plan's columns of each stage: to run, cached, and the rest."""
    environment = os.environ | {"PYTHONPATH": str(study.folder / "src")}
    command = [sys.executable, "-m", "prunetransfer", "plan", "--configfile", "config.yaml"]
    done = subprocess.run(command, cwd=study.folder, env=environment, capture_output=True, text=True, check=True)
    rows = (line.split() for line in done.stdout.splitlines())
    return {"page": [done.stdout]} | {row[0]: row[1:] for row in rows if len(row) > 2 and row[1].isdigit()}


def test_plan_run_and_temporary_files(new_study):
    study = new_study
    study.config |= {"temporary": ["scores", "recovered"]}
    plan = planned(study)
    assert plan["evaluate"][:2] == ["8", "0"] and plan["evaluate"][-1] == "*"
    assert "Temporary, removed once it is used" in plan["page"][0]
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
