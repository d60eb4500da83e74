"""All that knows Snakemake: jobs, paths, code digests, what a run takes."""
