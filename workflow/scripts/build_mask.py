"""Keep the weights of highest score."""

from prunetransfer.pruning.masks import global_mask, write_mask
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import provenance, read_tensors

with stage(snakemake):
    sparsity = float(snakemake.wildcards.sparsity)
    mask = global_mask(read_tensors(snakemake.input[0]), sparsity)
    write_mask(snakemake.output[0], mask, {"sparsity": sparsity, **provenance(dict(snakemake.wildcards))})
