"""Keep the weights of highest score, as the mask's pattern allows."""

from prunetransfer.pruning.masks import write_mask
from prunetransfer.pruning.patterns import make_mask
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_tensors

with stage(snakemake):
    asked = snakemake.params.mask
    write_mask(snakemake.output[0], make_mask(read_tensors(snakemake.input[0]), **asked), asked)
