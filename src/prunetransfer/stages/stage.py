"""What every stage script does around its work: log, what its files say of the job, and errors in one line."""

from __future__ import annotations

import contextlib
import sys
import textwrap
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from prunetransfer.storage import provenance

LONGEST = 1000


@contextlib.contextmanager
def stage(snakemake: Any) -> Iterator[None]:
    """Send output to the rule's log; answer an error with one line on the terminal and the traceback in the log."""
    name, log = snakemake.rule, Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    settings = dict(snakemake.params)
    job = provenance.of_stage(name, settings.pop("code", None), dict(snakemake.wildcards), settings)
    with job, _written(log) as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        try:
            yield
        except Exception as error:
            with contextlib.suppress(OSError):
                traceback.print_exc()
            print(f"{name}: {_in_one_line(error)} (traceback in {log})", file=sys.__stderr__, flush=True)
            raise SystemExit(1) from None
        print(f"{name}: done in {time.perf_counter() - start:.1f} s")


@contextlib.contextmanager
def _written(log: Path) -> Iterator[TextIO]:
    """The open log. One whose end a full disk does not take hides no other error, and is none of its own."""
    file = open(log, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


def _in_one_line(error: Exception) -> str:
    """What went wrong, shortened; after the kind of error, where its text alone says little."""
    text = textwrap.shorten(str(error), LONGEST, placeholder=" ...")
    told = isinstance(error, ValueError | OSError | FloatingPointError) and text
    return text if told else f"{type(error).__name__}: {text}".removesuffix(": ")
