"""Join what each job took with what the file that it made says of its making."""

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from prunetransfer.pruning.names import read_name
from prunetransfer.stages.benchmarks import job_costs
from prunetransfer.stages.jobs import Job
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_metadata
from prunetransfer.storage.schemas.costs import COSTS
from prunetransfer.storage.tables import table_metadata, write_table

READERS = {
    ".safetensors": read_metadata,
    ".parquet": table_metadata,
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
}


def made(path):
    """The provenance of a file, nothing where it was removed."""
    return READERS[path.suffix](path) if path.exists() else {}


with stage(snakemake):
    stages, names = snakemake.params.stages, snakemake.params.names
    rows = []
    for job in job_costs(snakemake.params.folder, {name: stage["costs"] for name, stage in stages.items()}, names):
        parts, cost = Job.parse(job.wildcards), job.cost
        facts = made(Path(stages[job.stage]["file"].format(**job.wildcards)))
        peaks = [peak for peak in (cost.peak_mb, facts.get("peak_mb")) if peak is not None]
        rows.append(
            {key: value for key, value in asdict(parts).items() if key != "mask"}
            | (read_name(parts.mask) if parts.mask else {})
            | {"method": snakemake.params.methods.get(parts.recovery)}
            | {"stage": job.stage, "job": job.job, "seconds": cost.seconds, "cpu_seconds": cost.cpu_seconds}
            | {"peak_mb": max(peaks, default=None)}
            | {key: facts.get(key) for key in ("gpu_peak_mb", "device", "revision", "code")}
            | {key: facts.get("versions", {}).get(key) for key in ("prunetransfer", "python", "torch", "cuda", "timm")}
        )
    frame = pd.DataFrame(rows, columns=COSTS.names)
    frame = frame.assign(study=snakemake.params.study).astype({"seed": "Int64", "sparsity": float})
    write_table(snakemake.output[0], frame, COSTS)
