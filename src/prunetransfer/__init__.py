"""How far can a pre-trained vision backbone be pruned before the tasks it has never seen suffer?

The library behind the study. It knows nothing of Snakemake: every stage is a function here that a short script calls.
"""

__version__ = "0.1.0"
