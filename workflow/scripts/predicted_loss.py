"""Put the loss increase that the scores predict beside the one that was measured."""

import pandas as pd

from prunetransfer.analysis.predicted import predicted_increase, predicted_losses, predicted_safe
from prunetransfer.analysis.shared import with_seeds
from prunetransfer.pruning.masks import read_mask
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import provenance, read_metadata, read_tensors
from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.schemas.safe import PREDICTED_LOSS, PREDICTED_SAFE
from prunetransfer.storage.tables import read_table, write_table


def criterion(path):
    settings = read_metadata(path)["settings"]
    return settings["backbone"], settings["criterion"], int(settings["seed"])


with stage(snakemake):
    masks = {}
    for path in snakemake.input.masks:
        masks.setdefault(criterion(path), []).append(path)
    rows = []
    for path in snakemake.input.scores:
        scores, (backbone, name, seed) = read_tensors(path), criterion(path)
        score, _, prune_source = name.partition("@")
        about = {"backbone": backbone, "score": score, "prune_source": prune_source or None, "seed": seed}
        for mask in masks[backbone, name, seed]:
            sparsity = read_metadata(mask)["sparsity"]
            rows.append(about | {"sparsity": sparsity, "predicted": predicted_increase(scores, read_mask(mask))})
    accuracy, tolerance = read_table(snakemake.input.accuracy, ACCURACY), snakemake.params.tolerance
    losses = predicted_losses(with_seeds(pd.DataFrame(rows), snakemake.params.seeds), accuracy)
    safe = predicted_safe(losses, accuracy, tolerance)
    write_table(snakemake.output.losses, losses, PREDICTED_LOSS, provenance({"scores": len(snakemake.input.scores)}))
    write_table(snakemake.output.sparsities, safe, PREDICTED_SAFE, provenance({"tolerance": tolerance}))
