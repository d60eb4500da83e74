"""What a run will take, before it runs: its jobs by stage, processor and GPU hours, disk.

A job to run is expected to cost what the jobs most like it did: those of its stage, method (score or recovery) and
backbone that have left a benchmark record or outputs; else those of its stage and method; else of its stage. A stage
without any is given a rough model's cost, and is marked.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from prunetransfer.stages.benchmarks import read_cost

# The model: a forward pass of one image costs in proportion to its pixels and to the network's weights. On one core of
# the machine of docs/benchmarks.md ResNet-50 (94 MB) takes 0.13 s and ViT-B/16 (343 MB) 0.46 s at 224 px.
SECONDS_A_PASS = 0.13
REFERENCE_BYTES = 94e6
REFERENCE_SIZE = 224
CORES_A_GPU = 100  # a guess
IMAGES = 1000  # of a split that is not prepared yet
START = 4.0  # of a process that imports PyTorch and timm
# In forward passes: a step of training; an image of a score's curvature; an image of a recovery without training.
TRAINING, CURVATURE, LAYERWISE = 3, 6, 10
DAMPINGS = 9  # that `damping: auto` tries, each at every sparsity


@dataclass(frozen=True)
class Job:
    """One job of the study, with what its cost depends on. inputs and settings: by their names in its rule."""

    stage: str
    method: str
    backbone: str
    pending: bool
    threads: int
    gpus: float
    record: Path
    outputs: tuple[Path, ...]
    temporary: bool = False
    inputs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def likenesses(self) -> list[tuple[str, ...]]:
        """What it may share with other jobs, the closest first."""
        key = (self.stage, self.method, self.backbone)
        return [key[:length] for length in (3, 2, 1)]

    @cached_property
    def seconds(self) -> float | None:
        """What its last run took by the clock, where that is on record."""
        return read_cost(self.record).seconds if self.record.is_file() else None

    @cached_property
    def bytes(self) -> int | None:
        """What its outputs take, where all are there."""
        return sum(path.stat().st_size for path in self.outputs) if all(map(Path.is_file, self.outputs)) else None


@dataclass
class Stage:
    """One line of the plan. modelled: hours are a model's, not from records."""

    jobs: int = 0
    cached: int = 0
    cpu_hours: float = 0.0
    gpu_hours: float = 0.0
    bytes: float = 0.0
    temporary_bytes: float = 0.0
    modelled: bool = False


def plan(jobs: Sequence[Job]) -> dict[str, Stage]:
    """The stages of `jobs` in their order: what is there already, and what the jobs to run are expected to take.

    A job with a GPU counts for GPU hours, any other for processor hours: seconds times what it holds of either.
    """
    seconds = _Means(jobs, lambda job: job.seconds)
    sizes = _Means(jobs, lambda job: job.bytes)
    stages: dict[str, Stage] = defaultdict(Stage)
    for job in jobs:
        stage = stages[job.stage]
        if not job.pending:
            stage.cached += 1
            continue
        stage.jobs += 1
        expected, size = seconds.of(job), sizes.of(job)
        if expected is None:
            expected, stage.modelled = modelled_seconds(job), True
        if job.gpus:
            stage.gpu_hours += expected * job.gpus / 3600
        else:
            stage.cpu_hours += expected * job.threads / 3600
        size = modelled_bytes(job) if size is None else size
        stage.bytes += size
        stage.temporary_bytes += size * job.temporary
    return dict(stages)


class _Means:
    """The mean of a number over the jobs that have it, for every likeness."""

    def __init__(self, jobs: Iterable[Job], number: Callable[[Job], float | None]) -> None:
        self._found: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for job in jobs:
            if (value := number(job)) is not None:
                for key in job.likenesses:
                    self._found[key].append(value)

    def of(self, job: Job) -> float | None:
        """What to expect of `job`; None where its stage has no number yet."""
        values = next((self._found[key] for key in job.likenesses if key in self._found), None)
        return sum(values) / len(values) if values else None


def modelled_seconds(job: Job) -> float:
    """A rough cost where there is no record: start-up, and forward passes over the images that the stage reads."""
    if "weights" not in job.inputs:
        return 15.0 if job.stage == "prepare_images" else 2.0
    settings = job.settings
    images = {split: sum(map(_images, job.inputs.get(split, ()))) for split in ("train", "test")}
    if job.stage == "evaluate":
        passes = (1 + len(job.inputs["pruned"])) * images["test"]
    elif "epochs" in settings:
        passes = TRAINING * settings["epochs"] * images["train"]
    elif job.stage == "recover":
        passes = LAYERWISE * settings.get("samples", IMAGES)
    elif job.stage == "compute_score":
        tried = DAMPINGS * len(settings.get("damping_sparsities", ()))
        passes = (CURVATURE + tried) * settings.get("samples", 0)
    else:
        passes = sum(images.values())
    scale = _weights_bytes(job) / REFERENCE_BYTES * (_size(job) / REFERENCE_SIZE) ** 2
    return START + passes * SECONDS_A_PASS * scale / (CORES_A_GPU * job.gpus or job.threads)


def modelled_bytes(job: Job) -> float:
    """As `modelled_seconds`, of the outputs."""
    if job.stage in ("download_weights", "pretrain_backbone", "compute_score", "recover"):
        return _weights_bytes(job)
    if job.stage == "build_mask":
        return _weights_bytes(job) / 32  # one bit for each float32
    if job.stage == "prepare_images":
        return 2 * IMAGES * 3 * _size(job) ** 2
    return 1e6 if job.stage == "fit_head" else 1e5


def _weights_bytes(job: Job) -> float:
    made = Path("resources/weights").glob(f"{job.backbone}-{'[0-9a-f]' * 8}.safetensors")
    path = next((Path(path) for path in job.inputs.get("weights", made)), None)
    return path.stat().st_size if path and path.is_file() else REFERENCE_BYTES


def _size(job: Job) -> int:
    """Pixels a side, as the folder of prepared images says."""
    places = [*job.inputs.get("test", ()), *job.inputs.get("train", ()), *map(str, job.outputs)]
    found = next((found for place in places if (found := _PREPARED.search(place))), None)
    return int(found[1]) if found else REFERENCE_SIZE


def _images(prepared: str) -> int:
    """How many images a prepared split has: 3 bytes a pixel."""
    path, found = Path(prepared), _PREPARED.search(prepared)
    return path.stat().st_size // (3 * int(found[1]) ** 2) if path.is_file() and found else IMAGES


_PREPARED = re.compile(r"-(\d+)-[a-z]+-\d\.\d+(?:-[a-z]+)?(?:-[0-9a-f]{6})?/")


def page(study: str, stages: Mapping[str, Stage], downloads: Sequence[str]) -> str:
    """The plan as text for a terminal. downloads: one line each."""
    total = Stage(*(sum(getattr(stage, name) for stage in stages.values()) for name in Stage.__dataclass_fields__))
    return "\n".join(_lines(study, stages, total, downloads))


def _lines(study: str, stages: Mapping[str, Stage], total: Stage, downloads: Sequence[str]) -> Iterator[str]:
    yield f"Study {study}: {total.jobs:,} {'job' if total.jobs == 1 else 'jobs'} to run, {total.cached:,} cached."
    if not total.jobs:
        return
    width = max(map(len, stages))
    yield ""
    yield f"{'stage':{width}}  {'to run':>7}  {'cached':>7}  {'CPU time':>9}  {'GPU time':>9}  {'disk':>8}"
    for name, stage in {**stages, "all": total}.items():
        times = [duration(hours * 3600) if hours else "" for hours in (stage.cpu_hours, stage.gpu_hours)]
        disk = size(stage.bytes) if stage.jobs else ""
        mark = "  *" if stage.modelled and name != "all" else ""
        line = f"{name:{width}}  {stage.jobs:7,}  {stage.cached:7,}  {times[0]:>9}  {times[1]:>9}  {disk:>8}{mark}"
        yield line.rstrip()
    yield ""
    yield "Times are those of one core or one GPU, start-up included; n jobs side by side take an n-th by the clock."
    if total.modelled:
        yield (
            "* No job of the stage is on record, so this is a rough model's word, right to a factor of ten at best.\n"
            f"  It takes a split that is not prepared for {IMAGES} images, weights that are not there for\n"
            f"  ResNet-50's, a GPU for {CORES_A_GPU} cores."
        )
    if total.temporary_bytes:
        yield f"Temporary, removed once it is used: {size(total.temporary_bytes)} of the disk."
    yield from ["Downloads:", *(f"  {line}" for line in downloads)] if downloads else ["Downloads: none."]


def duration(seconds: float) -> str:
    """`8 s`, `12 min`, `3.4 h`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else _rounded(seconds / 3600, "h")


def size(count: float) -> str:
    """Bytes as `12 kB`, `3.4 MB`, `120 GB`."""
    unit, scale = next((pair for pair in (("kB", 1e3), ("MB", 1e6)) if count < 999.5 * pair[1]), ("GB", 1e9))
    return _rounded(count / scale, unit)


def _rounded(number: float, unit: str) -> str:
    return f"{number:.1f} {unit}" if number < 9.95 else f"{number:,.0f} {unit}"
