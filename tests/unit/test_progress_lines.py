"""What a person reads while a study runs."""

from __future__ import annotations

import logging

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.tests import MockOutputSettings

from snakemake_logger_plugin_prunetransfer import LogHandler
from snakemake_logger_plugin_prunetransfer.progress import Progress

ABOUT = {"backbone": "resnet", "criterion": "block@digits", "recovery": "none", "targets": "glyphs", "seed": "0"}


def test_a_finished_job_is_one_line_with_what_is_left():
    progress = Progress()
    assert progress.plan({"build_mask": 1, "evaluate": 5}) == "6 jobs to run: 5 evaluate, 1 of other kinds"
    for job in range(5):
        progress.describe(job, "evaluate", ABOUT)
    progress.start([0, 1], 1000)
    # two at a time: of 5 jobs like it and one other, one has run for 100 s of the mean 100 s
    assert progress.finish(0, 1100) == (
        "[1/6] 0:01:40   100.0 s  evaluate resnet block@digits → glyphs, about 3 min left"
    )
    assert progress.left(1100) == pytest.approx((5 * 100 - 100) / 2)
    progress.start([2], 1100)
    assert progress.left(1150) == pytest.approx((5 * 100 - 100 - 50) / 2, rel=1e-3)


def test_no_time_is_told_while_most_of_what_is_left_is_unknown():
    progress = Progress()
    progress.plan({"build_mask": 2, "evaluate": 5})
    progress.describe(0, "build_mask", {"sparsity": "0.5", "seed": "3"})
    progress.start([0], 0)
    assert progress.finish(0, 1) == "[1/7] 0:00:01     1.0 s  build mask at 0.5 seed 3"


def handled(capsys, *records: tuple[LogEvent | None, int, str | None, dict], **settings) -> str:
    common = MockOutputSettings()
    common.__dict__.update({"quiet": set(), "nocolor": True} | settings)
    handler = LogHandler(common, None)
    for event, level, message, facts in records:
        record = logging.LogRecord("snakemake", level, "", 0, message, (), None)
        record.__dict__.update(facts | ({"event": event} if event else {}))
        handler.emit(record)
    return capsys.readouterr().err


RUN = [
    (LogEvent.RUN_INFO, logging.INFO, "Job stats", {"stats": {"evaluate": 1, "total": 1}}),
    (None, logging.INFO, "Select jobs to execute...", {}),
    (LogEvent.JOB_STARTED, logging.INFO, "Execute 1 jobs...", {"jobs": [7], "created": 50.0}),
    (LogEvent.JOB_INFO, logging.INFO, "Rule", {"jobid": 7, "rule_name": "evaluate", "wildcards": ABOUT}),
    (LogEvent.JOB_FINISHED, logging.INFO, "Finished", {"job_id": 7, "created": 52.5}),
    (LogEvent.PROGRESS, logging.INFO, None, {"done": 1, "total": 1}),
    (None, logging.WARNING, "mind this", {}),
    (LogEvent.ERROR, logging.ERROR, "what went wrong", {"exception": "WorkflowError"}),
]


def test_a_run_prints_its_jobs_and_errors_and_no_chatter(capsys):
    assert handled(capsys, *RUN).splitlines() == [
        "1 job to run: 1 of other kinds",
        "[1/1] 0:00:02     2.5 s  evaluate resnet block@digits → glyphs",
        "mind this",
        "what went wrong",
    ]


def test_dry_runs_are_left_to_snakemake(capsys):
    assert handled(capsys, *RUN, dryrun=True) == ""
    assert handled(capsys, *RUN, verbose=True) == ""
