"""What a run will take, before it runs: its jobs by stage, processor and GPU hours, disk.

A job to run is expected to take what the jobs most like it took: those of its stage, method (score or recovery) and
backbone; else those of its stage and method; else those of its stage. Of a stage that never ran nothing is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from tqdm import tqdm


@dataclass(frozen=True)
class Kind:
    """What a job may share with others."""

    stage: str
    method: str
    backbone: str

    @property
    def likenesses(self) -> list[tuple[str, ...]]:
        """The kinds that it is one of, the closest first."""
        key = (self.stage, self.method, self.backbone)
        return [key[:length] for length in (3, 2, 1)]


@dataclass(frozen=True)
class Job:
    """One job of the study, with what its cost depends on."""

    kind: Kind
    pending: bool
    threads: int
    gpus: float
    outputs: tuple[Path, ...]
    temporary: bool = False

    @cached_property
    def bytes(self) -> int | None:
        """What its outputs take, where all are there."""
        return sum(path.stat().st_size for path in self.outputs) if all(map(Path.is_file, self.outputs)) else None


@dataclass
class Stage:
    """One line of the plan. unknown: jobs to run whose time is in no record. temporary: those whose files go."""

    jobs: int = 0
    cached: int = 0
    unknown: int = 0
    temporary: int = 0
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    bytes: float = 0.0


def plan(jobs: Sequence[Job], records: Iterable[tuple[Kind, float]]) -> dict[str, Stage]:
    """The stages of `jobs` in their order: what is there already, and what the jobs to run are expected to take.

    records: seconds that jobs took. A job with a GPU counts for GPU time, any other for processor time: seconds times
    what it holds of either.
    """
    seconds = _Means(records)
    sizes = _Means((job.kind, job.bytes) for job in jobs if job.bytes is not None)
    stages: dict[str, Stage] = defaultdict(Stage)
    for job in jobs:
        stage = stages[job.kind.stage]
        if not job.pending:
            stage.cached += 1
            continue
        stage.jobs += 1
        stage.temporary += job.temporary
        stage.bytes += sizes.of(job.kind) or 0.0
        if (expected := seconds.of(job.kind)) is None:
            stage.unknown += 1
        elif job.gpus:
            stage.gpu_seconds += expected * job.gpus
        else:
            stage.cpu_seconds += expected * job.threads
    return dict(stages)


class _Means:
    """The mean of a number over the jobs that have it, for every likeness."""

    def __init__(self, numbers: Iterable[tuple[Kind, float]]) -> None:
        self._found: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for kind, number in numbers:
            for key in kind.likenesses:
                self._found[key].append(number)

    def of(self, kind: Kind) -> float | None:
        """What to expect; None where no job of the stage has a number."""
        values = next((self._found[key] for key in kind.likenesses if key in self._found), None)
        return sum(values) / len(values) if values else None


def page(study: str, stages: Mapping[str, Stage], downloads: Sequence[str]) -> str:
    """The plan as text for a terminal. downloads: one line each."""
    total = Stage(*(sum(getattr(stage, field.name) for stage in stages.values()) for field in fields(Stage)))
    return "\n".join(_lines(study, stages, total, downloads))


def _lines(study: str, stages: Mapping[str, Stage], total: Stage, downloads: Sequence[str]) -> Iterator[str]:
    yield f"Study {study}: {total.jobs:,} {'job' if total.jobs == 1 else 'jobs'} to run, {total.cached:,} cached."
    if not total.jobs:
        return
    width = max(map(len, stages))
    yield ""
    yield f"{'stage':{width}}  {'to run':>7}  {'cached':>7}  {'CPU h:mm:ss':>16}  {'GPU h:mm:ss':>16}  {'disk':>8}"
    for name, stage in {**stages, "all": total}.items():
        times = [str(timedelta(seconds=round(s))) if s else "" for s in (stage.cpu_seconds, stage.gpu_seconds)]
        mark = "  *" if stage.unknown else ""
        disk = tqdm.format_sizeof(stage.bytes, "B") if stage.bytes else ""
        line = f"{name:{width}}  {stage.jobs:7,}  {stage.cached:7,}  {times[0]:>16}  {times[1]:>16}  {disk:>8}{mark}"
        yield line.rstrip()
    yield ""
    yield "Times are those of one core or one GPU, start-up included; n jobs side by side take an n-th by the clock."
    if total.unknown:
        yield f"* {total.unknown:,} of the jobs are not in the sums: none of their stage has run under results/ yet."
    if total.temporary:
        yield f"Temporary, removed once they are used: the files of {total.temporary:,} of the jobs."
    yield from ["Downloads:", *(f"  {line}" for line in downloads)] if downloads else ["Downloads: none."]
