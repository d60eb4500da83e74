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
from snakemake.io import is_flagged
from snakemake.settings.enums import Quietness, RerunTrigger
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from prunetransfer.runtime.caches import settle_caches  # noqa: E402
from prunetransfer.stages.jobs import split_name  # noqa: E402
from prunetransfer.stages.planning import Job, page, plan  # noqa: E402

PROFILE = ROOT / "profiles/default/config.yaml"
CATALOGUE = ROOT / "docs/catalogue.md"


def dry_run(configfile: Path | None, targets: list[str]) -> Any:
    """Snakemake's workflow after a dry run."""
    triggers = yaml.safe_load(PROFILE.read_text())["rerun-triggers"]
    # Asked to be this quiet, a dry run ends before it prints its jobs.
    quiet = frozenset({Quietness.RULES, Quietness.PROGRESS})
    with SnakemakeApi(OutputSettings(dryrun=True, quiet=quiet, log_level_override=logging.ERROR)) as api:
        study = api.workflow(
            ResourceSettings(cores=1),
            ConfigSettings(configfiles=[configfile] if configfile else []),
            snakefile=ROOT / "Snakefile",
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


def planned(workflow: Any) -> Iterator[Job]:
    """The study's jobs in the order of its stages."""
    order = {rule.name: place for place, rule in enumerate(workflow.rules)}
    for job in sorted((job for job in workflow.dag.jobs if job.output), key=lambda job: order[job.rule.name]):
        wildcards, params = job.wildcards_dict, job.params
        inputs = {
            name: [files] if isinstance(files, str) else list(files) for name, files in job.input.items() if files
        }
        outputs = tuple(map(Path, job.output))
        folder = outputs[0].parent.name
        yield Job(
            stage=folder if folder in ("tables", "figures") else job.rule.name,
            method=split_name(wildcards.get("recovery") or wildcards.get("criterion") or "")[0],
            backbone=wildcards.get("backbone", ""),
            pending=workflow.dag.needrun(job),
            threads=job.threads,
            gpus=job.resources.get("gpu", 0),
            record=Path(job.benchmark),
            outputs=outputs,
            temporary=is_flagged(job.output[0], "temp"),
            inputs=inputs,
            settings=params.get("recovery") or params.get("score") or params.get("recipe") or {},
        )


def downloads(jobs: list[Job], config: dict[str, Any]) -> Iterator[str]:
    """What has to be fetched, and what is known of its size."""
    for job in jobs:
        if not job.pending:
            continue
        if job.stage == "download_dataset":
            yield f"{job.outputs[0].with_suffix('')}: size not known here"
        source = config["backbones"].get(job.backbone, {}).get("weights", {}).get("source", "")
        if job.stage == "download_weights" and source.startswith(("timm", "torchvision:", "https://")):
            row = re.search(
                rf"^\| {re.escape(job.backbone)} \| [^|]+ \| (\d+) \|", CATALOGUE.read_text("utf-8"), re.MULTILINE
            )
            size = f"{row[1]} MB, more if the file holds more than weights" if row else "size not known here"
            yield f"weights of {job.backbone} ({source}): {size}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configfile", type=Path, help="the study, where it is not config.yaml")
    parser.add_argument("targets", nargs="*", help="what to make, where it is not all")
    options = parser.parse_args()
    if moved := settle_caches():
        print(moved, file=sys.stderr)
    workflow = dry_run(options.configfile, options.targets)
    config = workflow.globals["config"]
    jobs = list(planned(workflow))
    print(page(config["study"], plan(jobs), list(downloads(jobs, config))))


if __name__ == "__main__":
    main()
