"""Predict and measure what each mask does to the losses of a group of tasks."""

import pandas as pd

from prunetransfer.curvature.task import Task
from prunetransfer.datasets.splits import draw_images, read_split
from prunetransfer.heads import read_head
from prunetransfer.landscape.perturbation import Surroundings
from prunetransfer.models.backbones import load_backbone
from prunetransfer.pruning.apply import load_mask
from prunetransfer.pruning.masks import mask_columns
from prunetransfer.runtime.devices import prepare_process
from prunetransfer.stages.jobs import Job
from prunetransfer.stages.stage import stage
from prunetransfer.storage.schemas.landscape import PATH, PERTURBATION
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    seed, settings, files = Job.parse(snakemake.wildcards).seed, snakemake.params.landscape, snakemake.input
    device = prepare_process(snakemake.threads, seed)
    backbone = load_backbone(snakemake.params.backbone, files.weights, device)
    rows, points = [], []
    for task, head, train in zip(snakemake.params.tasks, files.heads, files.train, strict=True):
        sample, _ = draw_images(read_split(train), settings["samples"], "balanced", seed)
        surroundings = Surroundings(Task(backbone, read_head(head, device), sample))
        for path in files.masks:
            mask = load_mask(path, device)
            about = mask_columns(path) | {"task": task, "seed": seed}  # a mask that seeds share has another
            losses = surroundings.path(mask, settings["steps"])
            measured = {"dense_loss": losses[0.0], "measured": losses[1.0] - losses[0.0]}
            rows.append(about | {"images": len(sample.labels)} | measured | surroundings.predict(mask))
            points += [about | {"t": t, "loss": loss} for t, loss in losses.items()]
    write_table(snakemake.output.rows, pd.DataFrame(rows), PERTURBATION)
    write_table(snakemake.output.paths, pd.DataFrame(points), PATH)
