"""Read the accuracy of one criterion on a group of targets, at all its sparsities."""

import pandas as pd

from prunetransfer.datasets.splits import read_split
from prunetransfer.evaluation.grid import evaluate_grid
from prunetransfer.heads import read_head
from prunetransfer.models.backbones import load_backbone
from prunetransfer.runtime.devices import prepare_process
from prunetransfer.stages.jobs import condition
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import provenance
from prunetransfer.storage.schemas.accuracy import EVALUATION, PREDICTIONS
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    job, files = dict(snakemake.wildcards), snakemake.input
    device = prepare_process(snakemake.threads, int(job["seed"]))
    backbone = load_backbone(snakemake.params.backbone, files.weights, device)
    rows, predictions = [], []
    for i, target in enumerate(snakemake.params.targets):
        measured, answered = evaluate_grid(
            backbone,
            read_head(files.heads[i], device),
            read_split(files.test[i]),
            files.pruned,
            recovered=job["recovery"] != "none",
            readouts=snakemake.params.readouts,
            train=read_split(files.train[i]) if files.train else None,
        )
        rows += [row | condition(job, target) for row in measured]
        predictions += [row | {"target": target} for row in answered]
    write_table(snakemake.output.rows, pd.DataFrame(rows), EVALUATION, provenance(job))
    write_table(snakemake.output.predictions, pd.DataFrame(predictions), PREDICTIONS, provenance(job))
