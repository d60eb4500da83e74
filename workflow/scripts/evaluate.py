"""Read the accuracy of one criterion on a group of targets, at all its sparsities."""

import pandas as pd

from prunetransfer.artifacts import provenance
from prunetransfer.backbones import load_backbone
from prunetransfer.datasets.splits import read_split
from prunetransfer.devices import prepare_process
from prunetransfer.evaluation import evaluate_grid
from prunetransfer.heads import read_head
from prunetransfer.schemas.accuracy import EVALUATION, PREDICTIONS
from prunetransfer.stage import stage
from prunetransfer.stages.jobs import Job
from prunetransfer.tables import write_table

with stage(snakemake):
    job, files = Job.parse(snakemake.wildcards), snakemake.input
    device = prepare_process(snakemake.threads, job.seed)
    backbone = load_backbone(snakemake.params.backbone, files.weights, device)
    rows, predictions = [], []
    for i, target in enumerate(snakemake.params.targets):
        measured, answered = evaluate_grid(
            backbone,
            read_head(files.heads[i], device),
            read_split(files.test[i]),
            files.pruned,
            recovered=job.recovery != "none",
            readouts=snakemake.params.readouts,
            train=read_split(files.train[i]) if files.train else None,
        )
        rows += [row | job.key_columns | {"target": target} for row in measured]
        predictions += [row | {"target": target} for row in answered]
    made_with = provenance(snakemake.params.readouts)
    write_table(snakemake.output.rows, pd.DataFrame(rows), EVALUATION, made_with)
    write_table(snakemake.output.predictions, pd.DataFrame(predictions), PREDICTIONS, made_with)
