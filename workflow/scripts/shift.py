"""Compare retention under each condition with that on the same images without it."""

from prunetransfer.analysis.outcomes import read_outcomes
from prunetransfer.analysis.shift import on_same_images, shift_table
from prunetransfer.stages.stage import stage
from prunetransfer.storage.schemas.dense import DENSE
from prunetransfer.storage.schemas.shift import SHIFT
from prunetransfer.storage.tables import read_table, write_table

with stage(snakemake):
    params = snakemake.params
    dense = read_table(snakemake.input.dense, DENSE)
    outcomes = read_outcomes(snakemake.input.predictions, dense, **params.of_study)
    shifts = on_same_images(params.shifts, snakemake.input.answers)
    write_table(snakemake.output.shift, shift_table(outcomes, shifts, params.confidence), SHIFT)
