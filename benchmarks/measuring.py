"""Measure the rows of a table fairly: in turns for time, each in a process of its own for memory."""

from __future__ import annotations

import multiprocessing
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import torch

Row = Callable[[], Any]
Clock = Callable[[], float]


class Task(Protocol):
    """What the rows of a table do, each in its way; must be picklable."""

    def rows(self, device: torch.device) -> dict[str, Row]: ...


# From here on (seconds) a row is measured once.
LONG = 20.0


def measure(
    rows: Mapping[str, Row], repetitions: int, device: torch.device, clock: Clock = time.perf_counter
) -> dict[str, tuple[float, Any]]:
    """The median seconds of each row by `clock`, and what it returned.

    Rows take turns, so that what else the machine does falls on all of them alike. The first turn warms up; it counts
    for rows that are too long for another. A row but the first that PyTorch cannot compute there is left out, and
    why is printed.
    """
    rows = dict(rows)
    times: dict[str, list[float]] = {name: [] for name in rows}
    returned = {}
    for _ in range(repetitions + 1):
        for name, row in list(rows.items()):
            if not times[name] or times[name][0] < LONG:
                start = _now(device, clock)
                try:
                    returned[name] = row()
                except RuntimeError as error:  # no memory, or a library's own
                    if not returned:  # the first row, which the others are compared with
                        raise
                    print(f"no row for {name}: {str(error).splitlines()[0]}", file=sys.stderr)
                    del rows[name], times[name]
                    continue
                times[name].append(_now(device, clock) - start)
    return {name: (statistics.median(found[1:] or found), returned[name]) for name, found in times.items()}


def peak_bytes(task: Task, name: str, device: torch.device) -> int:
    """What row `name` of a task takes beyond its inputs at most, in a process of its own (on a CPU: Linux only)."""
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(_peak_in_this_process, (task, name, device, torch.get_num_threads()))


def machine(device: torch.device) -> str:
    """Where and when a table was measured, in one line."""
    if device.type == "cuda":
        chip = torch.cuda.get_device_name(device)
    else:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        chip = f"{found[1] if found else platform.processor()}, {torch.get_num_threads()} threads"
    return f"{chip}, torch {torch.__version__}, {date.today()}"


def write_section(path: Path, name: str, text: str) -> None:
    """Put `text` between `<!-- name -->` and `<!-- /name -->` of a page; raises ValueError where it lacks them."""
    page, pattern = path.read_text(), re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"{path} has no section <!-- {name} --> … <!-- /{name} -->")
    path.write_text(pattern.sub(lambda found: found[1] + text + found[2], page))


def _now(device: torch.device, clock: Clock) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock()


def _peak_in_this_process(task: Task, name: str, device: torch.device, threads: int) -> int:
    torch.set_num_threads(threads)
    row = task.rows(device)[name]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        row()
        return torch.cuda.max_memory_allocated(device) - before
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what is resident now
    before = _resident("VmRSS")
    row()
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    return 1024 * int(re.search(rf"{field}:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])
