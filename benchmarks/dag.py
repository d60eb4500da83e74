"""What planning a study takes: a dry run before anything is there, and a run that finds everything there.

    python benchmarks/dag.py --write docs/benchmarks.md

The studies are synthetic, of the shape of studies/paper.yaml; nothing but planning runs. The finished state is made
without running a job: empty outputs, and the records that `snakemake --touch` leaves.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
# Tasks, backbones, seeds: about 100, 1,000 and 10,000 jobs.
SHAPES = [(2, 1, 1), (4, 2, 2), (10, 4, 3)]
# `--touch` waits a tenth of a second at every job.
TOUCH = """
from snakemake.cli import main
from snakemake.executors import touch
touch.Executor.SLEEPING_TIME = 0
main()
"""


def study(tasks: int, backbones: int, seeds: int) -> dict:
    """A config like studies/paper.yaml's, whose weights and images need no file."""
    names = [f"task{k}" for k in range(tasks)]
    backbone = {
        "architecture": "resnet18",
        "pretraining": "none",
        "weights": {"source": "random"},
        "size": 32,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "interpolation": "bicubic",
        "crop": 1.0,
    }
    return {
        "study": "planned",
        "seeds": list(range(seeds)),
        "backbones": {f"backbone{k}": backbone for k in range(backbones)},
        "datasets": {name: {"kind": "textures", "seed": k} for k, name in enumerate(names)},
        "sources": names,
        "targets": names,
        "scores": {"magnitude": {}, "diagonal": {}, "block": {}},
        "sparsities": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98],
        "recoveries": {
            "none": {},
            "finetune": {"epochs": 1, "learning_rate": 0.001, "sparsities": [0.5, 0.7, 0.8, 0.9, 0.95]},
        },
    }


class Folder:
    """Where Snakemake plans one study, with the workflow as it stands here."""

    def __init__(self, place: Path, config: dict) -> None:
        self.place = place
        (place / "config.yaml").write_text(yaml.safe_dump(config))
        for name in ("Snakefile", "workflow", "src", "profiles"):
            (place / name).symlink_to(ROOT / name)

    def run(self, *arguments: str, start: tuple[str, ...] = ("-m", "snakemake")) -> tuple[str, float, float, float]:
        """Snakemake's output, its seconds by the clock, its processor seconds and its peak memory in MB."""
        with tempfile.TemporaryFile("w+") as output:
            begin = time.perf_counter()
            command = [sys.executable, *start, "--cores", "1", *arguments]
            environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
            process = subprocess.Popen(command, cwd=self.place, env=environment, stdout=output, stderr=output)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - begin
            output.seek(0)
            text = output.read()
        if process.returncode:
            raise RuntimeError(f"snakemake {' '.join(arguments)}: {text[-2000:]}")
        return text, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3

    def finish(self) -> None:
        """Put an empty file in place of every output, and have Snakemake record its provenance."""
        for line in self.run("--summary")[0].splitlines():
            name, *fields = line.split("\t")
            if len(fields) == 5 and name != "output_file":
                path = self.place / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        self.run("--touch", start=("-c", TOUCH))


def rows() -> Iterator[str]:
    yield "| jobs | what | seconds | processor s | peak MB |"
    yield "| ---: | --- | ---: | ---: | ---: |"
    for shape in SHAPES:
        with tempfile.TemporaryDirectory() as place:
            folder = Folder(Path(place), study(*shape))
            text, *dry = folder.run("--dry-run")
            jobs = next(line.split()[1] for line in text.splitlines() if line.startswith("total "))
            folder.finish()
            text, *again = folder.run()
            if "Nothing to be done" not in text:
                raise RuntimeError(f"the finished study has jobs to run: {text[-2000:]}")
        for what, (seconds, processor, peak) in {"dry run of all": dry, "run of none": again}.items():
            yield f"| {int(jobs):,} | {what} | {seconds:.1f} | {processor:.1f} | {peak:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page's section")
    options = parser.parse_args()
    text = ""
    for line in rows():
        print(line, flush=True)
        text += line + "\n"
    if options.write:
        # Not before: a process's peak counts what its parent held when it was forked, which PyTorch would be most of.
        import torch
        from measuring import machine, write_section

        torch.set_num_threads(1)
        write_section(options.write, "dag, cpu", f"{machine(torch.device('cpu'))}\n\n{text}")


if __name__ == "__main__":
    main()
