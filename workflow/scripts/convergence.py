"""Compare scores that differ in nothing but how many images they saw."""

import json
from collections import defaultdict

import pandas as pd

from prunetransfer.analysis.convergence import agreement
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import provenance, read_metadata, read_tensors
from prunetransfer.storage.schemas.masks import CONVERGENCE
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    sweeps = defaultdict(list)
    for path in snakemake.input:
        job = read_metadata(path)["settings"]
        score, _, prune_source = job.pop("criterion").partition("@")
        samples = job.pop("samples")
        sweeps[prune_source, json.dumps(job, sort_keys=True)].append((samples, score, path, job))
    rows = []
    for (prune_source, _), sweep in sweeps.items():
        *fewer, (most, _, reference, _) = sorted(sweep, key=lambda entry: entry[0])
        most_scores = read_tensors(reference)
        for samples, score, path, job in fewer:
            about = {"study": snakemake.params.study, "backbone": job["backbone"], "score": score}
            about |= {"prune_source": prune_source, "seed": int(job["seed"])}
            about |= {"samples": samples, "reference_samples": most}
            rows += [about | row for row in agreement(read_tensors(path), most_scores, snakemake.params.sparsities)]
    frame = pd.DataFrame(rows, columns=CONVERGENCE.names)
    write_table(snakemake.output[0], frame, CONVERGENCE, provenance({"scores": len(snakemake.input)}))
