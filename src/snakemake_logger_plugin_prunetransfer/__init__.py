"""Snakemake's output for people (`logger: prunetransfer` in a profile): a line for each finished or long job, warnings
and errors in full.

Lines follow the events that Snakemake's log names, and no wording of its messages. Its own log, with every job's
details, goes on in `.snakemake/log`. A dry run and `--verbose` print as ever.
"""

from __future__ import annotations

import logging
import sys
import threading
import time

from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from prunetransfer.runtime.caches import settle_caches
from snakemake_logger_plugin_prunetransfer.progress import Progress

SECONDS_BETWEEN_LOOKS = 5.0  # for jobs that run long


class LogHandler(LogHandlerBase):
    """Snakemake looks for a class of this name."""

    def __post_init__(self) -> None:
        settings = self.common_settings
        # Nothing of ours runs before Snakemake makes a log handler, and next it writes its cache.
        if moved := settle_caches():
            print(moved, file=sys.stderr)
        self._progress = Progress()
        self._stream = ColorizingTextHandler(settings.nocolor, sys.stdout if settings.stdout else sys.stderr)
        self._stream.setFormatter(DefaultFormatter(settings.quiet, settings.show_failed_logs))
        self._wanted = DefaultFilter(settings.quiet, False, False, False, settings.printshellcmds).filter
        self._watch = threading.Thread(target=self._tell_of_long_jobs, daemon=True)

    @property
    def writes_to_stream(self) -> bool:
        # Where this says no, Snakemake prints by itself.
        settings = self.common_settings
        return not (settings.dryrun or settings.verbose or settings.debug_dag)

    writes_to_file = needs_rulegraph = False
    has_filter = has_formatter = True

    def emit(self, record: logging.LogRecord) -> None:
        # What --quiet keeps back is still counted.
        if self.writes_to_stream and (text := self._text(record)) and self._wanted(record):
            self._stream.handle(record if text is record else logging.makeLogRecord({"msg": text}))

    def _tell_of_long_jobs(self) -> None:
        while True:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            with self.lock:
                text = self._progress.long(time.time())
            if text and Quietness.PROGRESS not in (self.common_settings.quiet or ()):
                self._stream.handle(logging.makeLogRecord({"msg": text}))

    def _text(self, record: logging.LogRecord) -> str | logging.LogRecord | None:
        """What is printed of a record: a line of ours, the record itself, or nothing."""
        match getattr(record, "event", None):
            case LogEvent.RUN_INFO:
                return self._progress.plan({rule: count for rule, count in record.stats.items() if rule != "total"})
            case LogEvent.JOB_INFO:
                self._progress.describe(record.jobid, record.rule_name, record.wildcards, " ".join(record.log))
            case LogEvent.JOB_STARTED:
                self._progress.start(record.jobs, record.created)
                if not self._watch.is_alive():
                    self._watch.start()
            case LogEvent.JOB_FINISHED:
                return self._progress.finish(record.job_id, record.created)
            case LogEvent.JOB_ERROR:
                self._progress.fail(record.jobid)
                return record
            case LogEvent.GROUP_ERROR | LogEvent.ERROR:
                return record
            case None if record.levelno > logging.INFO or record.msg == NOTHING_TO_BE_DONE_MSG:
                return record
        return None
