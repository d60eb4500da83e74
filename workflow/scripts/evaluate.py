"""Read the accuracy of one criterion on one target, at all its sparsities."""

import pandas as pd

from prunetransfer.artifacts import provenance
from prunetransfer.backbones import load_backbone
from prunetransfer.datasets.splits import read_split
from prunetransfer.devices import prepare_process
from prunetransfer.evaluation import evaluate_grid
from prunetransfer.heads import read_head
from prunetransfer.schemas.accuracy import EVALUATION, PREDICTIONS
from prunetransfer.stage import stage
from prunetransfer.tables import write_table

with stage(snakemake):
    job = snakemake.wildcards
    score, _, prune_source = job.criterion.partition("@")
    recovery, _, tuned_on = job.recovery.partition("@")
    device = prepare_process(snakemake.threads, int(job.seed))
    backbone = load_backbone(snakemake.params.backbone, snakemake.input.weights, device)
    head, test = read_head(snakemake.input.head, device), read_split(snakemake.input.test)
    train = read_split(snakemake.input.train) if snakemake.input.get("train") else None
    rows, predictions = evaluate_grid(
        backbone,
        head,
        test,
        snakemake.input.pruned,
        recovered=recovery != "none",
        readouts=snakemake.params.readouts,
        train=train,
    )
    frame = pd.DataFrame(rows).assign(
        backbone=job.backbone,
        score=score,
        prune_source=prune_source or None,
        recovery=recovery,
        tuned_on=tuned_on or None,
        target=job.target,
        role="source" if job.target in (prune_source, tuned_on) else "transfer",
        seed=int(job.seed),
    )
    write_table(snakemake.output.rows, frame, EVALUATION, provenance(dict(job)))
    write_table(snakemake.output.predictions, pd.DataFrame(predictions), PREDICTIONS, provenance(dict(job)))
