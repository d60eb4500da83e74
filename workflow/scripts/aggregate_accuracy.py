"""Join all evaluations into one table; where the dense backbone is not above chance there is no retention."""

import pandas as pd

from prunetransfer.analysis.dense import above_chance
from prunetransfer.analysis.recovered import with_methods
from prunetransfer.analysis.roles import with_roles
from prunetransfer.analysis.shared import with_seeds
from prunetransfer.stages.stage import stage
from prunetransfer.storage.schemas.accuracy import ACCURACY, EVALUATION
from prunetransfer.storage.schemas.dense import DENSE
from prunetransfer.storage.tables import read_table, write_table

with stage(snakemake):
    frame = pd.concat([read_table(path, EVALUATION) for path in snakemake.input.rows], ignore_index=True)
    of_study, labels = snakemake.params.of_study, snakemake.params.labels
    frame = with_methods(with_seeds(frame, of_study["seeds"]), of_study["methods"], of_study["in_steps"])
    frame = with_roles(frame, of_study["own_sources"], shifted=of_study["shifted"])
    dense = read_table(snakemake.input.dense, DENSE)
    frame = frame.assign(
        study=of_study["study"],
        architecture=[labels[name]["architecture"] for name in frame["backbone"]],
        pretraining=[labels[name]["pretraining"] for name in frame["backbone"]],
        retention=frame["retention"].where(above_chance(frame, dense)),
    )
    write_table(snakemake.output[0], frame, ACCURACY)
