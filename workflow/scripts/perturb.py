"""Predict and measure what each mask does to the loss of one task."""

import pandas as pd

from prunetransfer.artifacts import provenance, read_metadata
from prunetransfer.backbones import load_backbone, load_mask
from prunetransfer.datasets.splits import draw_images, read_split
from prunetransfer.devices import prepare_process
from prunetransfer.heads import read_head
from prunetransfer.landscape.perturbation import Surroundings
from prunetransfer.landscape.task import Task
from prunetransfer.schemas.landscape import PATH, PERTURBATION
from prunetransfer.stage import stage
from prunetransfer.tables import write_table

with stage(snakemake):
    job, settings = snakemake.wildcards, snakemake.params.landscape
    task, seed = job.dataset, int(job.seed)
    device = prepare_process(snakemake.threads, seed)
    backbone = load_backbone(snakemake.params.backbone, snakemake.input.weights, device)
    head, train = read_head(snakemake.input.head, device), read_split(snakemake.input.train)
    sample, _ = draw_images(train, settings["samples"], "balanced", seed)
    surroundings = Surroundings(Task(backbone, head, sample))
    rows, paths = [], []
    for path in snakemake.input.masks:
        metadata, mask = read_metadata(path), load_mask(path, device)
        score, _, prune_source = metadata["settings"]["criterion"].partition("@")
        about = {
            **{"backbone": job.backbone, "score": score, "prune_source": prune_source or None},
            **{"sparsity": metadata["sparsity"], "task": task, "seed": seed},
            "role": "source" if task == prune_source else "transfer",
        }
        losses = surroundings.path(mask, settings["steps"])
        found = {"images": len(sample.labels), "dense_loss": losses[0.0], "measured": losses[1.0] - losses[0.0]}
        rows.append(about | found | surroundings.predict(mask))
        paths += [about | {"t": t, "loss": loss} for t, loss in losses.items()]
    made_with = provenance(settings | dict(job))
    write_table(snakemake.output.rows, pd.DataFrame(rows), PERTURBATION, made_with)
    write_table(snakemake.output.paths, pd.DataFrame(paths), PATH, made_with)
