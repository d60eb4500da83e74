"""All that knows Snakemake: what a job is called, where its files lie, what its process inherits."""
