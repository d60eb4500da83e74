"""What the names of a job say: `block@digits` is the criterion of the score `block` computed on `digits`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STEPS = "steps"  # the recovery of masks made in steps, as tables call it; their files call it `none`


@dataclass(frozen=True)
class Job:
    """One job, by its files' names; what they do not have is None. mask: as the file is called, `0.5`."""

    backbone: str | None = None
    score: str | None = None
    prune_source: str | None = None
    recovery: str | None = None
    tuned_on: str | None = None
    mask: str | None = None
    targets: str | None = None
    dataset: str | None = None
    seed: int | None = None

    @classmethod
    def parse(cls, wildcards: Mapping[str, str]) -> Job:
        """The job of a rule's wildcards, as Snakemake has them or as a file's metadata do; others are passed over."""
        score, prune_source = _split(wildcards.get("criterion", ""))
        recovery, tuned_on = _split(wildcards.get("recovery", ""))
        same = {name: wildcards.get(name) for name in ("backbone", "mask", "targets", "dataset")}
        seed = wildcards.get("seed")  # Snakemake's wildcards are a list: `in` would look among the values
        return cls(
            score=score or None,
            prune_source=prune_source,
            recovery=recovery or None,
            tuned_on=tuned_on,
            seed=None if seed is None else int(seed),
            **same,
        )

    @property
    def key_columns(self) -> dict[str, Any]:
        """What names the job in tables: backbone, score, prune_source, seed; recovery and tuned_on, where it has them.

        Of a mask, the file itself says its entry of `masks` and its sparsity.
        """
        names = ["backbone", "score", "prune_source", *(["recovery", "tuned_on"] if self.recovery else []), "seed"]
        return {name: getattr(self, name) for name in names}

    @property
    def link(self) -> str | None:
        """The last link of its recovery: `moments` of `reconstruct+moments`."""
        return self.recovery and self.recovery.rpartition("+")[2]

    @property
    def earlier(self) -> str | None:
        """The recovery that its last link goes on from, as file names have it: `reconstruct@digits`; None if none."""
        before = self.recovery and self.recovery.rpartition("+")[0]
        return f"{before}@{self.tuned_on}" if before else None

    @property
    def is_shared(self) -> bool:
        """Do all seeds share its files, as nothing of them is drawn: those of a data-free mask, not recovered?"""
        return self.prune_source is None and self.recovery in (None, "none")


def _split(name: str) -> tuple[str, str | None]:
    """`block@digits` → (`block`, `digits`); `magnitude` → (`magnitude`, None)."""
    first, _, dataset = name.partition("@")
    return first, dataset or None
