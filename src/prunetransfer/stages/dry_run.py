"""A study's jobs as Snakemake plans them, without running one: for the plan, and to run a single job by hand."""

from __future__ import annotations

import logging
import runpy
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from snakemake.api import SnakemakeApi
from snakemake.io import is_flagged
from snakemake.rules import Rule
from snakemake.script import Snakemake
from snakemake.settings.enums import Quietness, RerunTrigger
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings
from snakemake.workflow import Workflow

from prunetransfer.runtime.messages import abridged, no_such
from prunetransfer.stages import jobs
from prunetransfer.stages.benchmarks import job_costs
from prunetransfer.stages.planning import Job, Kind

PROFILE = Path("profiles/default/config.yaml")
SIZES = resources.files("prunetransfer") / "data/megabytes.yaml"


def dry_run(configfile: Path | None, targets: Sequence[str] = ()) -> Workflow:
    """Snakemake's workflow after a dry run in the project's folder, which is the working folder.

    Ends the process, after Snakemake's own message, if there is no such study.
    """
    triggers = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))["rerun-triggers"]
    # Asked to be this quiet, a dry run ends before it prints its jobs.
    quiet = frozenset({Quietness.RULES, Quietness.PROGRESS})
    with SnakemakeApi(OutputSettings(dryrun=True, quiet=quiet, log_level_override=logging.ERROR)) as api:
        study = api.workflow(
            ResourceSettings(cores=1),
            ConfigSettings(configfiles=[configfile] if configfile else []),
            snakefile=Path("Snakefile"),
        )
        try:
            dag = study.dag(
                DAGSettings(
                    targets=frozenset(targets), rerun_triggers=frozenset(map(RerunTrigger.parse_choice, triggers))
                )
            )
            dag.execute_workflow(executor="dryrun")
        except Exception as error:
            api.print_exception(error)
            sys.exit(1)
        return study._workflow  # the one thing here that is not in Snakemake's public interface


def planned(workflow: Workflow) -> Iterator[Job]:
    """The study's jobs in the order of its stages."""
    order = {rule.name: place for place, rule in enumerate(workflow.rules)}
    for job in sorted((job for job in workflow.dag.jobs if job.output), key=lambda job: order[job.rule.name]):
        yield Job(
            kind=_kind(job.rule, job.wildcards_dict),
            pending=workflow.dag.needrun(job),
            threads=job.threads,
            gpus=job.resources.get("gpu", 0),
            outputs=tuple(map(Path, job.output)),
            temporary=is_flagged(job.output[0], "temp"),
        )


def recorded(workflow: Workflow) -> Iterator[tuple[Kind, float]]:
    """Seconds that jobs of the same rules took, in this study and in those beside it."""
    rules = {rule.name: rule for rule in workflow.rules if rule.benchmark}
    # The study's own folder stands in the rules' patterns.
    files = {name: rule.benchmark.regex().pattern.partition("/costs/")[2] for name, rule in rules.items()}
    patterns = {name: f"results/[^/]+/costs/{file}" for name, file in files.items()}
    for costs in sorted(Path("results").glob("*/costs")):
        for job in job_costs(costs, patterns):
            yield _kind(rules[job.stage], job.wildcards), job.cost.seconds


def downloads(jobs: Iterable[Job], backbones: Mapping[str, Any]) -> Iterator[str]:
    """What has to be fetched, and what is known of its size. backbones: the config's entries."""
    sizes = yaml.safe_load(SIZES.read_text(encoding="utf-8"))
    for job in jobs:
        if not job.pending:
            continue
        name = job.kind.backbone
        if job.kind.stage == "download_dataset":
            yield f"{job.outputs[0].with_suffix('')}: size not known here"
        source = backbones.get(name, {}).get("weights", {}).get("source", "")
        if job.kind.stage == "download_weights" and source.startswith(("timm", "torchvision:", "https://")):
            known = f"{sizes[name]} MB, more if the file holds more than weights" if name in sizes else ""
            size = known or "size not known here"
            yield f"weights of {name} ({source}): {size}"


def by_hand(workflow: Workflow, rule: str, **wildcards: str) -> Snakemake:
    """What Snakemake gives to the script of the study's job of `rule` and `wildcards`, its log being the terminal.

    Raises ValueError, naming wildcards that there are, unless they are those of one job.
    """
    jobs = [job for job in workflow.dag.jobs if job.rule.name == rule]
    if not jobs:
        rules = sorted({job.rule.name for job in workflow.dag.jobs if job.output})
        raise ValueError(no_such("rule", rule, rules, "those of the study's jobs"))
    found = [job for job in jobs if wildcards.items() <= job.wildcards_dict.items()]
    if len(found) != 1:
        names = (" ".join(f"{key}={value}" for key, value in job.wildcards_dict.items()) for job in found or jobs)
        raise ValueError(f"{rule}: {len(found)} jobs match, not one; there are {abridged(sorted(names), 3)}")
    (job,) = found
    facts = (job.input, job.output, job.params, job.wildcards, job.threads, job.resources, job.log)
    snakemake = Snakemake(*facts, workflow.globals["config"], rule, bench_iteration=None)
    snakemake.log = ["/dev/stderr"]
    return snakemake


def run_by_hand(workflow: Workflow, rule: str, **wildcards: str) -> None:
    """Run the script of one job in this process. Its inputs must be there; Snakemake does not learn of its outputs."""
    job = by_hand(workflow, rule, **wildcards)
    script = Path("workflow/scripts") / Path(workflow.get_rule(rule).script).name.format(params=job.params)
    runpy.run_path(str(script), {"snakemake": job})


def _kind(rule: Rule, wildcards: Mapping[str, str]) -> Kind:
    folder = Path(rule.output[0]).parent.name
    names = jobs.Job.parse(wildcards)
    stage = folder if folder in ("tables", "figures") else rule.name
    return Kind(stage, names.recovery or names.score or "", names.backbone or "")
