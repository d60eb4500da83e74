"""Keep the weights of highest score."""

from prunetransfer.artifacts import provenance, read_tensors
from prunetransfer.masks import global_mask, write_mask
from prunetransfer.stage import stage

with stage(snakemake):
    sparsity = float(snakemake.wildcards.sparsity)
    mask = global_mask(read_tensors(snakemake.input[0]), sparsity)
    write_mask(snakemake.output[0], mask, {"sparsity": sparsity, **provenance(dict(snakemake.wildcards))})
