"""Keep the weights of highest score, as the mask's pattern allows."""

from prunetransfer.pruning.masks import write_mask
from prunetransfer.pruning.patterns import make_mask
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import provenance, read_tensors

with stage(snakemake):
    asked = snakemake.params.mask
    mask = make_mask(read_tensors(snakemake.input[0]), **asked)
    write_mask(snakemake.output[0], mask, {**asked, **provenance(asked)})
