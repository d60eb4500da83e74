"""Collect which damping each score tried and chose."""

import pandas as pd

from prunetransfer.stages.jobs import Job
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_metadata
from prunetransfer.storage.schemas.masks import DAMPING
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    rows = []
    for path in snakemake.input:
        record = read_metadata(path)
        rows += [
            {
                "study": snakemake.params.study,
                **Job.parse(record["wildcards"]).key_columns,
                "damping": float(damping),
                "sparsity": None if sparsity is None else float(sparsity),
                "loss": loss,
                "chosen": float(damping) == record["damping"],
            }
            for damping, losses in record["damping_tried"].items()
            for sparsity, loss in (losses or {None: None}).items()
        ]
    frame = pd.DataFrame(rows, columns=DAMPING.names)
    write_table(snakemake.output[0], frame, DAMPING)
