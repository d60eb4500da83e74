"""Put the dense backbones' accuracy beside chance."""

from prunetransfer.analysis.dense import dense_table
from prunetransfer.stages.stage import stage
from prunetransfer.storage.schemas.dense import DENSE
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    confidence = snakemake.params.confidence
    found = dense_table(snakemake.input, snakemake.params.study, confidence)
    write_table(snakemake.output[0], found, DENSE)
