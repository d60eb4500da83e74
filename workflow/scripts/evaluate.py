"""Read the accuracy of one criterion on a group of targets, at all its sparsities."""

import pandas as pd

from prunetransfer.datasets.splits import read_split
from prunetransfer.evaluation.grid import Target, evaluate_masks, evaluate_recovered
from prunetransfer.heads import read_head
from prunetransfer.models.backbones import load_backbone
from prunetransfer.runtime.devices import prepare_process
from prunetransfer.stages.jobs import Job
from prunetransfer.stages.stage import stage
from prunetransfer.storage.schemas.accuracy import EVALUATION, PREDICTIONS
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    job, files = Job.parse(snakemake.wildcards), snakemake.input
    device = prepare_process(snakemake.threads, job.seed)
    backbone = load_backbone(snakemake.params.backbone, files.weights, device)
    masks = files.get("masks")
    evaluate, pruned = (evaluate_masks, masks) if masks else (evaluate_recovered, files.recovered)
    rows, predictions = [], []
    for i, target in enumerate(snakemake.params.targets):
        head, test = read_head(files.heads[i], device), read_split(files.test[i])
        train = read_split(files.train[i]) if files.train else None
        data = Target(head, test, snakemake.params.readouts, train)
        measured, answered = evaluate(backbone, data, pruned)
        rows += [row | job.key_columns | {"target": target} for row in measured]
        predictions += [row | {"target": target} for row in answered]
    write_table(snakemake.output.rows, pd.DataFrame(rows), EVALUATION)
    write_table(snakemake.output.predictions, pd.DataFrame(predictions), PREDICTIONS)
