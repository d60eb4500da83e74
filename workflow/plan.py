"""What a run would do and take, before it does anything: python workflow/plan.py [--configfile FILE]; `make plan`."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from snakemake.api import SnakemakeApi
from snakemake.exceptions import WorkflowError
from snakemake.settings.enums import Quietness, RerunTrigger
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from prunetransfer.planning import Job, page, plan  # noqa: E402

PROFILE = ROOT / "profiles/default/config.yaml"
CATALOGUE = ROOT / "docs/catalogue.md"


def snakemake_jobs(configfile: Path | None, config: dict[str, Any], targets: list[str]) -> tuple[list[Any], Any]:
    """The jobs of Snakemake's dry run with files to make, those of a rule together; and the workflow."""
    triggers = yaml.safe_load(PROFILE.read_text())["rerun-triggers"]
    # Asked to be this quiet, a dry run ends before it prints its jobs.
    quiet = frozenset({Quietness.RULES, Quietness.PROGRESS})
    with SnakemakeApi(OutputSettings(dryrun=True, quiet=quiet, log_level_override=logging.ERROR)) as api:
        study = api.workflow(
            ResourceSettings(cores=1),
            ConfigSettings(configfiles=[configfile] if configfile else [], config=config),
            snakefile=ROOT / "Snakefile",
        )
        dag = study.dag(
            DAGSettings(targets=frozenset(targets), rerun_triggers=frozenset(map(RerunTrigger.parse_choice, triggers)))
        )
        try:
            dag.execute_workflow(executor="dryrun")
        except WorkflowError as error:
            api.print_exception(error)
            sys.exit(1)
        workflow = study._workflow  # the one thing here that is not Snakemake's public interface
    order = {rule.name: place for place, rule in enumerate(workflow.rules)}
    return sorted((job for job in workflow.dag.jobs if job.output), key=lambda job: order[job.rule.name]), workflow
