"""A finished study as Snakemake plans it: which pruned backbones it has, and where their files lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from prunetransfer.pruning.names import mask_name, read_name
from prunetransfer.report.answer import least_safe
from prunetransfer.runtime.messages import no_such
from prunetransfer.stages import paths
from prunetransfer.stages.dry_run import Workflow
from prunetransfer.stages.jobs import STEPS, Job
from prunetransfer.storage.schemas.registry import TABLES
from prunetransfer.storage.tables import read_table


@dataclass(frozen=True)
class Choice:
    """One pruned backbone of a study, as its files are named: `features@digits`, `reconstruct@digits`, `0.5`."""

    backbone: str
    criterion: str
    recovery: str
    mask: str
    seed: int

    @property
    def job(self) -> Job:
        return Job.parse({**vars(self), "seed": str(self.seed)})


class Study:
    """A study as Snakemake plans it: which names it has, and where its files lie.

    workflow: of `stages.dry_run`; the helpers of workflow/rules/common.smk are its globals.
    """

    def __init__(self, workflow: Workflow):
        self.workflow = workflow
        self.names: Mapping[str, Any] = workflow.globals
        self.config: Mapping[str, Any] = workflow.globals["config"]

    @cached_property
    def _pending(self) -> set[str]:
        dag = self.workflow.dag
        return {str(file) for job in dag.jobs if dag.needrun(job) for file in job.output}

    def made(self, file: Path | str) -> Path:
        """A file of the study. Raises ValueError where it is not there, or would be made anew."""
        file = Path(file)
        if not file.exists():
            raise ValueError(f"{file} is not there; name it to the study's snakemake command, which then makes it")
        if str(file) in self._pending:
            raise ValueError(
                f"{file} is not of the study as it stands: its settings, code or inputs have changed; run the study's "
                "snakemake command again, which makes it anew"
            )
        return file

    def table(self, name: str) -> pd.DataFrame:
        """Raises ValueError as `made`."""
        return read_table(self.made(self.names["file"](paths.TABLE, table=name)), TABLES[name])

    def check(self, choice: Choice) -> None:
        """Raise ValueError, saying what there is, unless the study has what is chosen."""
        names = self.names
        self.check_backbone(choice.backbone)
        _known("criterion", choice.criterion, list(names["criteria"]()))
        _known("recovery", choice.recovery, list(names["recoveries"](choice.backbone, choice.criterion)))
        _known("mask", choice.mask, names["masks"](choice.backbone, choice.criterion, choice.recovery))
        self.check_seed(choice.seed)

    def check_backbone(self, name: str) -> None:
        _known("backbone", name, list(self.config["backbones"]))

    def check_seed(self, seed: int) -> None:
        _known("seed", seed, self.config["seeds"])

    def safest(self, backbone: str, seed: int) -> Choice:
        """The largest sparsity that is guaranteed on all unseen tasks, over scores and recoveries.

        Of several of the same sparsity the one that is measured to go farthest, then the first in the table's order.
        Raises ValueError where there is none.
        """
        self.check_backbone(backbone)
        self.check_seed(seed)
        safe = least_safe(self.table("safe_sparsity"))
        safe = safe[safe["backbone"] == backbone]
        if safe.empty:
            raise ValueError(f"backbone {backbone!r}: the study has no unseen task, so nothing is guaranteed")
        best = safe.sort_values(["safe_sparsity", "measured_sparsity"], ascending=False, kind="stable").iloc[0]
        if not best["safe_sparsity"]:
            raise ValueError(
                f"backbone {backbone!r}: no sparsity that was tried is guaranteed on all unseen tasks; name one by "
                "--criterion, --mask and --recovery"
            )
        mask = mask_name(best["mask"], float(best["safe_sparsity"]))
        criterion = next(
            name for name in self.names["criteria"]() if Job.parse({"criterion": name}).score == best.score
        )
        recoveries = self.names["recoveries"](backbone, criterion)
        choices = (Choice(backbone, criterion, name, mask, seed) for name in recoveries)
        return next(choice for choice in choices if self.columns(choice)["recovery"] == best.recovery)

    def columns(self, choice: Choice) -> dict[str, Any]:
        """The key columns that name the choice in tables of measurements."""
        named = choice.job.key_columns | read_name(choice.mask)
        made_in_steps = choice.recovery == "none" and self.names["steps"](choice.job.score)
        return named | ({"recovery": STEPS, "tuned_on": named["prune_source"]} if made_in_steps else {})

    def mask_file(self, choice: Choice) -> Path:
        """Raises ValueError as `made`."""
        return self.made(self.names["mask_file"](choice.backbone, choice.criterion, choice.seed, choice.mask))

    def file(self, pattern: str, choice: Choice, **more: str) -> Path:
        """The choice's file of a pattern of `stages.paths`, by the seed that it shares. Raises ValueError as `made`."""
        own = self.names["seeds"](choice.criterion, choice.recovery)
        seed = choice.seed if choice.seed in own else own[0]
        return self.made(self.names["file"](pattern, **{**vars(choice), "seed": seed, **more}))


def _known(what: str, value: Any, choices: list[Any]) -> None:
    if value not in choices:
        raise ValueError(f"{what} {value!r}: {no_such(what, value, choices)}")
