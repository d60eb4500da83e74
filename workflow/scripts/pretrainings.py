"""Compare the backbones of one architecture that differ in their pre-training."""

from prunetransfer.analysis.outcomes import read_outcomes
from prunetransfer.analysis.pretrainings import compare_pretrainings, grouped, pretraining_retentions
from prunetransfer.stages.stage import stage
from prunetransfer.storage.schemas.dense import DENSE
from prunetransfer.storage.schemas.pretrainings import PRETRAINING_COMPARISONS, PRETRAININGS
from prunetransfer.storage.tables import read_table, write_table

with stage(snakemake):
    params, output = snakemake.params, snakemake.output
    dense = read_table(snakemake.input.dense, DENSE)
    outcomes = read_outcomes(snakemake.input.predictions, dense, **params.of_study)
    found = grouped(outcomes, params.labels)
    write_table(output.pretrainings, pretraining_retentions(found, params.confidence), PRETRAININGS)
    write_table(output.pretraining_comparisons, compare_pretrainings(found, params.confidence), PRETRAINING_COMPARISONS)
