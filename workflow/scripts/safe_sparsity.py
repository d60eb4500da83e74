"""Choose how far each mask may go with a finite-sample guarantee."""

from prunetransfer.analysis.outcomes import read_outcomes
from prunetransfer.analysis.safe import safe_table
from prunetransfer.stages.stage import stage
from prunetransfer.storage.schemas.dense import DENSE
from prunetransfer.storage.schemas.safe import SAFE_SPARSITY
from prunetransfer.storage.tables import read_table, write_table

with stage(snakemake):
    levels = dict(snakemake.params.levels)
    dense = read_table(snakemake.input.dense, DENSE)
    outcomes = read_outcomes(snakemake.input.predictions, dense, **snakemake.params.of_study)
    write_table(snakemake.output[0], safe_table(outcomes, **levels), SAFE_SPARSITY)
