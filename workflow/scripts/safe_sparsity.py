"""Choose how far each mask may go with a finite-sample guarantee."""

from prunetransfer.analysis.outcomes import read_outcomes
from prunetransfer.analysis.safe import safe_table
from prunetransfer.analysis.shared import with_seeds
from prunetransfer.artifacts import provenance
from prunetransfer.schemas.safe import SAFE_SPARSITY
from prunetransfer.stage import stage
from prunetransfer.tables import write_table

with stage(snakemake):
    levels = dict(snakemake.params.levels)
    outcomes = with_seeds(read_outcomes(snakemake.input, snakemake.params.study), snakemake.params.seeds)
    found = safe_table(outcomes, **levels)
    write_table(snakemake.output[0], found, SAFE_SPARSITY, provenance(levels))
