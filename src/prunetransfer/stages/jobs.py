"""What the names of a job say: `block@digits` is the criterion of the score `block` computed on `digits`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def split_name(name: str) -> tuple[str, str | None]:
    """`block@digits` → (`block`, `digits`); `magnitude` → (`magnitude`, None)."""
    first, _, dataset = name.partition("@")
    return first, dataset or None


def condition(job: Mapping[str, str], target: str) -> dict[str, Any]:
    """The key columns and the role of what an evaluation job measures on `target`.

    job: its backbone, criterion, recovery and seed, as they stand in its files' names.
    """
    score, prune_source = split_name(job["criterion"])
    recovery, tuned_on = split_name(job["recovery"])
    return {
        "backbone": job["backbone"],
        "score": score,
        "prune_source": prune_source,
        "recovery": recovery,
        "tuned_on": tuned_on,
        "target": target,
        "role": "source" if target in (prune_source, tuned_on) else "transfer",
        "seed": int(job["seed"]),
    }
