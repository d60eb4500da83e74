"""Decode and resize every image of a dataset once: of both splits, or of those that it does not share with others."""

from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.prepared import Preparation, readable, refuse_overlap, write_split
from prunetransfer.stages.stage import stage

with stage(snakemake):
    dataset, wildcards, threads = dict(snakemake.params.dataset), snakemake.wildcards, snakemake.threads
    kind, plugin = dataset.pop("kind"), dataset.pop("plugin", None)
    skip, overlap = (dataset.pop(key, False) for key in ("skip_unreadable", "allow_overlap"))
    share, *crop_mode = wildcards.crop.split("-")
    preparation = Preparation(int(wildcards.size), wildcards.interpolation, float(share), *crop_mode)
    data_root = snakemake.params.data_root
    splits = snakemake.output.keys()
    samples = {split: load_samples(kind, split, dataset, data_root, plugin=plugin) for split in splits}
    digests = {}
    for split in splits:
        skipped = []
        if skip:
            samples[split], skipped = readable(samples[split], preparation, threads)
            print(*(f"{split}: skipped {complaint}" for complaint in skipped), sep="\n")
        counts = f"{split}: {len(samples[split].images)} images, {len(skipped)} skipped"
        print(counts, *samples[split].omissions(), sep="; ")
        digests[split] = write_split(
            snakemake.output[split], samples[split], preparation, snakemake.params.dataset, skipped, threads
        )
    # A dataset whose train images are another's shows some of that one's test images, which were compared there.
    if not overlap and "train" in splits:
        refuse_overlap(samples, digests)
