"""What every stage script does around its work: log, what its files say of the job, and errors in one line."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prunetransfer import process


@contextlib.contextmanager
def stage(snakemake: Any) -> Iterator[None]:
    """Send output to the rule's log; answer an error with one line on the terminal and the traceback in the log."""
    name, log = snakemake.rule, Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    process.begin(name, snakemake.params.get("code"), dict(snakemake.wildcards))
    with open(log, "w", encoding="utf-8") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            print(f"{name}: {error} (traceback in {log})", file=sys.__stderr__, flush=True)
            raise SystemExit(1) from None
        print(f"{name}: done in {time.perf_counter() - start:.1f} s")
