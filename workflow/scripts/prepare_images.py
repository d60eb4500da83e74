"""Decode and resize every image of a dataset once."""

from prunetransfer.datasets.prepared import write_split
from prunetransfer.datasets.samples import load_samples
from prunetransfer.stage import stage

with stage(snakemake):
    settings = dict(snakemake.params.dataset)
    kind = settings.pop("kind")
    for split in ("train", "test"):
        samples = load_samples(kind, split, settings, snakemake.params.data_root)
        write_split(snakemake.output[split], samples, int(snakemake.wildcards.size), snakemake.params.dataset)
