"""What the jobs of a study took."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import STUDY, key, value


def _name(column: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return value(column, kind, f"{meaning}; null if the job has none", nullable=True)


def _known(column: str, meaning: str) -> pa.Field:
    return value(column, pa.string(), f"{meaning}; null if its file does not say", nullable=True)


COSTS = pa.schema(
    [
        STUDY,
        key("stage", pa.string(), "the Snakemake rule"),
        key("job", pa.string(), "the job: its log is `logs/<job>.log`"),
        _name("backbone", pa.string(), "name of the backbone in the config"),
        _name("score", pa.string(), "name of the pruning score in the config"),
        _name("prune_source", pa.string(), "dataset that the score was computed on"),
        _name("recovery", pa.string(), "what was done to the pruned backbone"),
        _name("method", pa.string(), "what the recovery does; links of a chain joined by `+`"),
        _name("tuned_on", pa.string(), "dataset that the recovery used"),
        _name("targets", pa.string(), "datasets whose test images were classified, joined by +"),
        _name("dataset", pa.string(), "dataset that was prepared, or that a head was fitted on"),
        _name("mask", pa.string(), "entry of `masks` that the mask is of"),
        _name("sparsity", pa.float64(), "share of the prunable weights asked to go"),
        _name("seed", pa.int64(), "seed of everything drawn at random"),
        value("seconds", pa.float64(), "from the start of the job's process to its end, imports included", "s"),
        value(
            "cpu_seconds",
            pa.float64(),
            "processor time of all its threads, as sampled; null if the job was too short",
            "s",
            nullable=True,
        ),
        value("peak_mb", pa.float64(), "most memory that the job held; null if not measured", "MB", nullable=True),
        value("gpu_peak_mb", pa.float64(), "most GPU memory in tensors; null without a GPU", "MB", nullable=True),
        _known("device", "what it computed on: `cpu` or the name of a GPU"),
        _known("revision", "git revision of the workflow, `-dirty` if files differed from it"),
        _known("code", "digest of the stage's code"),
        _known("prunetransfer", "version of this package"),
        _known("python", "version of Python"),
        _known("torch", "version of PyTorch, where the job used it"),
        _known("cuda", "version of CUDA that PyTorch was built for"),
        _known("timm", "version of timm, where the job used it"),
    ]
)
