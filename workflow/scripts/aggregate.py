"""Join all evaluations into one table."""

import pandas as pd

from prunetransfer.analysis.shared import with_seeds
from prunetransfer.artifacts import provenance
from prunetransfer.schemas.accuracy import ACCURACY, EVALUATION
from prunetransfer.stage import stage
from prunetransfer.tables import read_table, write_table

with stage(snakemake):
    frame = pd.concat([read_table(path, EVALUATION) for path in snakemake.input], ignore_index=True)
    frame, labels = with_seeds(frame, snakemake.params.seeds), snakemake.params.labels
    frame = frame.assign(
        study=snakemake.params.study,
        architecture=[labels[name]["architecture"] for name in frame["backbone"]],
        pretraining=[labels[name]["pretraining"] for name in frame["backbone"]],
    )
    write_table(snakemake.output[0], frame, ACCURACY, provenance(labels))
