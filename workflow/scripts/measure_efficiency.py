"""Measure what the masks of one criterion save: parameters, multiply-adds, bytes, time."""

import pandas as pd

from prunetransfer.efficiency.measure import Comparison, deployed
from prunetransfer.models.backbones import load_backbone
from prunetransfer.pruning.masks import mask_columns, read_mask
from prunetransfer.runtime.devices import prepare_process
from prunetransfer.stages.jobs import Job
from prunetransfer.stages.stage import stage
from prunetransfer.storage.schemas.efficiency import MEASURED
from prunetransfer.storage.tables import write_table
from prunetransfer.structure.units import read_units

THREADS = 1  # whatever the job holds, so that no other one computes beside it

with stage(snakemake):
    job, files, params = Job.parse(snakemake.wildcards), snakemake.input, snakemake.params
    device = prepare_process(THREADS, job.seed, deterministic=False)
    backbone = load_backbone(params.backbone, files.weights, device)
    comparison = Comparison(backbone, params.size, params.efficiency["batch_sizes"], params.efficiency["seconds"])
    rows = []
    for path in files.masks:
        about = mask_columns(path)
        units = read_units(files.units) if about["mask"] in params.whole_units else None
        rows += [row | about for row in comparison.rows(deployed(backbone, read_mask(path), units))]
        print(f"{path}: {rows[-1]['speed_up']:.2f} times as fast at {rows[-1]['batch_size']} images", flush=True)
    write_table(snakemake.output[0], pd.DataFrame(rows), MEASURED)
