"""What a stage that fails says on the terminal: one line, whatever went wrong."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from prunetransfer.stages.stage import LONGEST, stage


def told(error: Exception, log, capfd: pytest.CaptureFixture[str]) -> str:
    job = SimpleNamespace(rule="score", log=[str(log)], params={}, wildcards={})
    with pytest.raises(SystemExit) as ended, stage(job):
        raise error
    assert ended.value.code == 1
    (line,) = capfd.readouterr().err.splitlines()
    return line.removesuffix(f" (traceback in {log})")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("net.pt: no such key"), "score: net.pt: no such key"),
        (KeyError("alpha"), "score: KeyError: 'alpha'"),
        (AssertionError(), "score: AssertionError"),
        (RuntimeError("Error in loading:\n\tMissing key"), "score: RuntimeError: Error in loading: Missing key"),
    ],
)
def test_an_error_is_one_line_on_the_terminal_and_a_traceback_in_the_log(tmp_path, capfd, error, line):
    assert told(error, tmp_path / "logs/score.log", capfd) == line
    assert "Traceback" in (tmp_path / "logs/score.log").read_text()


def test_an_endless_error_is_cut(tmp_path, capfd):
    assert len(told(ValueError("word " * 10**4), tmp_path / "log", capfd)) <= LONGEST + len("score: ")


def test_a_log_that_cannot_be_written_hides_no_error(capfd):
    assert told(ValueError("no weights"), "/dev/full", capfd) == "score: no weights"
