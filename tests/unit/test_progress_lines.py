"""What a person reads while a study runs."""

from __future__ import annotations

import logging
import time

import pytest
from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.tests import MockOutputSettings

import snakemake_logger_plugin_prunetransfer as plugin
from snakemake_logger_plugin_prunetransfer import LogHandler
from snakemake_logger_plugin_prunetransfer.progress import Progress

ABOUT = {"backbone": "resnet", "criterion": "block@digits", "recovery": "none", "targets": "glyphs", "seed": "0"}


def started(jobs: dict[str, int], running: int, now: float = 1000) -> Progress:
    """A run of these jobs, numbered in their order, of which the first `running` have started."""
    progress = Progress()
    progress.plan(jobs)
    for number, rule in enumerate(rule for rule, count in jobs.items() for _ in range(count)):
        progress.describe(number, rule, ABOUT, f"logs/{number}.log")
    progress.start(range(running), now)
    return progress


def test_a_finished_job_is_one_line_with_what_is_left():
    assert Progress().plan({"build_mask": 1, "evaluate": 5}) == "6 jobs to run: 5 evaluate, 1 of other kinds"
    progress = started({"evaluate": 7, "build_mask": 1}, running=4)
    for job in (0, 1, 2):
        line = progress.finish(job, 1100)
    # four at a time: of 4 jobs like it and one other, one has run for 100 s of the mean 100 s
    assert line == "[3/8] 0:01:40   100.0 s  evaluate resnet block@digits → glyphs, about 0:01:40 left"
    assert progress.left(1100) == pytest.approx((5 * 100 - 100) / 4)
    progress.start([4], 1100)
    assert progress.left(1150) == pytest.approx((5 * 100 - 100 - 50) / (500 / 150), rel=1e-3)


def test_no_time_is_told_after_one_job_or_while_jobs_differ_much():
    progress = started({"evaluate": 30}, running=30)
    assert progress.finish(0, 1100).endswith("→ glyphs")  # one says nothing of how they differ
    assert progress.finish(1, 1110).endswith("left")
    assert progress.finish(2, 3000).endswith("→ glyphs")  # a fine-tuning among evaluations: 100, 110 and 2000 s
    for job in range(3, 29):
        line = progress.finish(job, 3000 + job)
    assert line.endswith("left")


def test_a_job_that_runs_long_has_one_line_that_names_its_log():
    progress = started({"recover": 6}, running=1)
    assert progress.long(1059) is None
    line = "[0/6] 0:01:01    running  recover resnet block@digits → glyphs (logs/0.log)"
    assert progress.long(1061) == line and progress.long(1100) is None
    progress.start([1, 2, 3, 4, 5], 2000)
    progress.finish(1, 2010)
    progress.fail(2)
    assert progress.long(2100) == line.replace("0:01:01", "0:18:20").replace("0/6", "1/6").replace("0.log", "3.log") + (
        "".join(f", recover resnet block@digits → glyphs (logs/{job}.log)" for job in (4, 5))
    )
    progress.start([2], 3000)  # tried again
    assert "logs/2.log" in progress.long(3060)


def test_many_long_jobs_are_counted():
    progress = started({"recover": 9}, running=9)
    assert progress.long(1060).endswith("(logs/2.log), 6 more")


def test_no_time_is_told_while_most_of_what_is_left_is_unknown():
    progress = Progress()
    progress.plan({"build_mask": 2, "evaluate": 5})
    progress.describe(0, "build_mask", {"mask": "0.5", "seed": "3"}, "")
    progress.start([0], 0)
    assert progress.finish(0, 1) == "[1/7] 0:00:01     1.0 s  build mask at 0.5 seed 3"


def handled(capsys, *records: tuple[LogEvent | None, int, str | None, dict], **settings) -> str:
    common = MockOutputSettings()
    common.__dict__.update({"quiet": None, "nocolor": True} | settings)
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
    (LogEvent.JOB_INFO, logging.INFO, "Rule", {"jobid": 7, "rule_name": "evaluate", "wildcards": ABOUT, "log": []}),
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


def test_what_snakemake_says_without_an_event_is_left_to_its_log(capsys):
    leaving = (None, logging.INFO, "Will exit after finishing currently running jobs (scheduler).", {})
    warning = (None, logging.WARNING, "mind this", {})
    lines = handled(capsys, *RUN[:3], *[leaving] * 55, warning, *RUN[3:5], *[leaving] * 5, warning).splitlines()
    assert leaving[2] not in lines and lines.count("mind this") == 2 and len(lines) == 4


def test_a_run_that_has_nothing_to_do_says_so(capsys):
    assert handled(capsys, (None, logging.INFO, NOTHING_TO_BE_DONE_MSG, {})).strip() == NOTHING_TO_BE_DONE_MSG


def test_a_long_job_is_told_of_while_it_runs(capsys, monkeypatch):
    monkeypatch.setattr(plugin, "SECONDS_BETWEEN_LOOKS", 0.01)
    assert handled(capsys, *RUN[:4], quiet={Quietness.PROGRESS}) == ""
    found = handled(capsys, *RUN[:4])
    deadline = time.monotonic() + 30
    while "running" not in found and time.monotonic() < deadline:
        time.sleep(0.05)
        found += capsys.readouterr().err
    assert found.count("running  evaluate resnet block@digits → glyphs") == 1  # and none of the quiet run


def test_dry_runs_are_left_to_snakemake(capsys):
    assert handled(capsys, *RUN, dryrun=True) == ""
    assert handled(capsys, *RUN, verbose=True) == ""
