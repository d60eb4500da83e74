"""Compare scores that differ in nothing but how many images they saw."""

import json
from collections import defaultdict

import pandas as pd

from prunetransfer.analysis.convergence import agreement
from prunetransfer.stages.jobs import Job
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_metadata, read_tensors
from prunetransfer.storage.schemas.masks import CONVERGENCE
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    sweeps = defaultdict(list)
    for path in snakemake.input:
        record = read_metadata(path)
        job, settings = Job.parse(record["wildcards"]), dict(record["settings"])
        samples = settings.pop("samples")
        alike = (job.backbone, job.prune_source, job.seed, json.dumps(settings, sort_keys=True))
        sweeps[alike].append((samples, job, path))
    rows = []
    for sweep in sweeps.values():
        *fewer, (most, _, reference) = sorted(sweep, key=lambda entry: entry[0])
        most_scores = read_tensors(reference)
        for samples, job, path in fewer:
            about = {"study": snakemake.params.study, **job.key_columns, "samples": samples, "reference_samples": most}
            rows += [about | row for row in agreement(read_tensors(path), most_scores, snakemake.params.masks)]
    frame = pd.DataFrame(rows, columns=CONVERGENCE.names)
    write_table(snakemake.output[0], frame, CONVERGENCE)
