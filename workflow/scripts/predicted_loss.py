"""Put the loss increase that the scores predict beside the one that was measured."""

from dataclasses import replace

import pandas as pd

from prunetransfer.analysis.predicted import KEY, predicted_increase, predicted_losses, predicted_safe
from prunetransfer.analysis.shared import with_seeds
from prunetransfer.pruning.masks import mask_columns, read_mask
from prunetransfer.stages.jobs import Job
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_metadata, read_tensors
from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.schemas.safe import PREDICTED_LOSS, PREDICTED_SAFE
from prunetransfer.storage.tables import read_table, write_table


def job_of(path):
    return Job.parse(read_metadata(path)["wildcards"])


with stage(snakemake):
    masks = {}
    for path in snakemake.input.masks:
        masks.setdefault(replace(job_of(path), mask=None), []).append(path)
    rows = []
    for path in snakemake.input.scores:
        scores = read_tensors(path)
        for mask in masks[job_of(path)]:
            rows.append(mask_columns(mask) | {"predicted": predicted_increase(scores, read_mask(mask))})
    accuracy, tolerance = read_table(snakemake.input.accuracy, ACCURACY), snakemake.params.tolerance
    predicted = pd.DataFrame(rows, columns=[*KEY, "predicted"])
    losses = predicted_losses(with_seeds(predicted, snakemake.params.seeds), accuracy)
    safe = predicted_safe(losses, accuracy, tolerance)
    write_table(snakemake.output.predicted_loss, losses, PREDICTED_LOSS)
    write_table(snakemake.output.predicted_safe, safe, PREDICTED_SAFE)
