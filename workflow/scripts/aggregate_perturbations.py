"""Join what all masks do to all tasks, beside what their scores say and the test images showed."""

import pandas as pd

from prunetransfer.analysis.landscape import with_scores
from prunetransfer.analysis.roles import with_roles
from prunetransfer.stages.stage import stage
from prunetransfer.storage.schemas.landscape import PATH, PATHS, PERTURBATION, PERTURBATIONS
from prunetransfer.storage.schemas.safe import PREDICTED_LOSS
from prunetransfer.storage.tables import read_table, write_table


def joined(paths, schema):
    """The rows of all jobs, with study and role."""
    rows = pd.concat([read_table(path, schema) for path in paths], ignore_index=True)
    rows = with_roles(rows, snakemake.params.own_sources, of="task").drop(columns="own_sources")
    return rows.assign(study=snakemake.params.study)


with stage(snakemake):
    rows, paths = joined(snakemake.input.rows, PERTURBATION), joined(snakemake.input.paths, PATH)
    rows = with_scores(rows, read_table(snakemake.input.predicted_loss, PREDICTED_LOSS))
    write_table(snakemake.output.perturbations, rows, PERTURBATIONS)
    write_table(snakemake.output.paths, paths, PATHS)
