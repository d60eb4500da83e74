"""Join what all masks do to all tasks, beside what their scores say and the test images showed."""

import pandas as pd

from prunetransfer.analysis.landscape import with_scores
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import provenance
from prunetransfer.storage.schemas.landscape import PATH, PATHS, PERTURBATION, PERTURBATIONS
from prunetransfer.storage.schemas.safe import PREDICTED_LOSS
from prunetransfer.storage.tables import read_table, write_table

with stage(snakemake):
    study, made_with = snakemake.params.study, provenance({"tasks": len(snakemake.input.rows)})
    rows = pd.concat([read_table(path, PERTURBATION) for path in snakemake.input.rows], ignore_index=True)
    paths = pd.concat([read_table(path, PATH) for path in snakemake.input.paths], ignore_index=True)
    rows = with_scores(rows, read_table(snakemake.input.predicted_loss, PREDICTED_LOSS))
    write_table(snakemake.output.perturbations, rows.assign(study=study), PERTURBATIONS, made_with)
    write_table(snakemake.output.paths, paths.assign(study=study), PATHS, made_with)
