"""How far can a pre-trained vision backbone be pruned before the tasks it has never seen suffer?

The library behind the study. It knows nothing of Snakemake: every stage is a function here that a short script calls.
"""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`prune`, which imports PyTorch: the workflow, which imports the package in every job, must not."""
    if name == "prune":
        from prunetransfer.deploy.prune import prune

        return prune
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
