"""Fine-tuning and evaluation beside the bare model, and what a study's jobs cost beside their work.

    python benchmarks/throughput.py --data FOLDER --study results/mini --write docs/benchmarks.md

FOLDER holds real images, `<class>/*`, for the comparison with a DataLoader; --study reads the costs of a study that has
run. Either may be left out, and so are its rows.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from measuring import Row, machine, measure, write_section
from torch import Tensor

from prunetransfer.datasets.splits import Split
from prunetransfer.evaluation.grid import Target, evaluate_masks
from prunetransfer.heads import Head
from prunetransfer.heads.losses import squared
from prunetransfer.models.backbones import Backbone, build_backbone
from prunetransfer.pruning.apply import load_mask
from prunetransfer.pruning.masks import global_mask, write_mask
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.finetune import finetune

ROOT = Path(__file__).parents[1]
CLASSES = 10
BATCH = 64
SPARSITIES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9)
FINETUNE = {"loss": "squared", "learning_rate": 1e-4, "momentum": 0.9, "weight_decay": 1e-4, "batch_size": BATCH}
IMPORTS = {
    "mask": "prunetransfer.pruning.masks",
    "aggregate, other tables": "prunetransfer.storage.tables",
    "figures": "prunetransfer.figures.retention",
    "images": "prunetransfer.datasets.prepared",
    "score, head, recovery, evaluation": "prunetransfer.evaluation.grid, timm",
    "… of these PyTorch": "torch",
}


def network(name: str) -> dict:
    """A backbone of the embedded study, or MobileNetV2 at 128 pixels; weights are random: they cost the same."""
    if name == "mobilenetv2":
        plain = {"mean": [0.5] * 3, "std": [0.5] * 3, "exclude": []}
        return {"architecture": "mobilenetv2_100", "options": {}, "size": 128, **plain}
    return yaml.safe_load((ROOT / "config.yaml").read_text())["backbones"][name] | {"exclude": []}


class Inputs:
    """A backbone, a head, a split of noise and a mask file a sparsity."""

    def __init__(self, name: str, images: int, folder: Path, device: torch.device):
        torch.manual_seed(0)
        settings = network(name)
        self.size = settings["size"]
        self.backbone = build_backbone(settings).to(device)
        self.split = noise(images, self.size)
        with torch.no_grad():
            width = self.backbone(self.split.images[:1].to(device)).shape[1]
        self.head = Head(torch.randn(width, CLASSES) / width, torch.zeros(CLASSES), alpha=1.0).to(device)
        scores = {name: w.detach().cpu().square().numpy() for name, w in self.backbone.prunable().items()}
        self.masks = [folder / f"{name}-{sparsity}.safetensors" for sparsity in SPARSITIES]
        for path, sparsity in zip(self.masks, SPARSITIES, strict=True):
            write_mask(path, global_mask(scores, sparsity), {"mask": "global", "sparsity": sparsity})

    def mask(self) -> dict[str, Tensor]:
        return load_mask(self.masks[2], self.backbone.device)


def noise(images: int, size: int) -> Split:
    pixels = torch.randint(256, (images, size, size, 3), dtype=torch.uint8)
    return Split(pixels, torch.arange(images) % CLASSES, tuple("abcdefghij"))


def training(inputs: Inputs) -> dict[str, Row]:
    """Steps on one batch over and over, without and with a mask, and the same number of steps of `finetune`."""
    backbone, head, split, mask = inputs.backbone, inputs.head, inputs.split, inputs.mask()
    x, y = split.images[:BATCH].to(backbone.device), split.labels[:BATCH].to(backbone.device)

    def bare(step: Callable[[], None] = lambda: None) -> None:
        updates = torch.optim.SGD(backbone.parameters(), 1e-4, 0.9, weight_decay=1e-4)
        for _ in range(len(split.labels) // BATCH):
            updates.zero_grad()
            squared(head(backbone(x)), y).mean().backward()
            step()
            updates.step()

    def masked() -> None:
        weights = backbone.prunable()
        keep = [mask[name].to(weight.dtype) for name, weight in weights.items()]
        bare(lambda: torch._foreach_mul_([weight.grad for weight in weights.values()], keep))

    def ours() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            finetune(Case(backbone, backbone, mask, head, split, 0), epochs=1, **FINETUNE, precision="float32")

    return {"bare model, one batch": bare, "the same with a mask": masked, "**finetune**": ours}


def evaluation(inputs: Inputs) -> dict[str, Row]:
    """The dense backbone and six masks on all images: on one batch over and over, and by `evaluate_masks`."""
    backbone, images = inputs.backbone, len(inputs.split.labels)
    batch = inputs.split.images[:256].to(backbone.device)
    state = {name: tensor.clone() for name, tensor in backbone.network.state_dict().items()}

    @torch.inference_mode()
    def bare() -> None:
        for _ in range((1 + len(SPARSITIES)) * images // len(batch)):
            backbone(batch)

    def ours() -> None:
        backbone.network.load_state_dict(state)
        grid(backbone, inputs.head, inputs.split, inputs.masks)

    return {"bare model, one batch": bare, "**evaluation of the grid**": ours}


def against_a_dataloader(inputs: Inputs, folder: Path, images: int) -> dict[str, Row]:
    """Real images: as prepared, all masks in one process, and as files that are decoded anew for every mask."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    size = inputs.size
    shrink = v2.Compose([v2.PILToTensor(), v2.Resize((size, size), antialias=True)])
    files = ImageFolder(str(folder), transform=shrink)
    chosen = torch.linspace(0, len(files) - 1, images).long().tolist()
    prepared = torch.stack([files[i][0].permute(1, 2, 0) for i in chosen])
    split = Split(prepared, torch.arange(images) % CLASSES, inputs.split.classes)
    backbone, head = inputs.backbone, inputs.head
    state = {name: tensor.clone() for name, tensor in backbone.network.state_dict().items()}
    loader = torch.utils.data.DataLoader(torch.utils.data.Subset(files, chosen), BATCH)

    @torch.inference_mode()
    def user() -> None:
        for path in (None, *inputs.masks):
            backbone.network.load_state_dict(state)
            if path:
                backbone.prune(load_mask(path, backbone.device))
            correct = 0
            for x, y in loader:
                answers = head(backbone(x.permute(0, 2, 3, 1).to(backbone.device))).argmax(1)
                correct += (answers == y.to(backbone.device)).sum().item()

    def ours() -> None:
        backbone.network.load_state_dict(state)
        grid(backbone, head, split, inputs.masks)

    return {"DataLoader over the folder, a pass a mask": user, "**evaluation of the grid**": ours}


def grid(backbone: Backbone, head: Head, split: Split, masks: list[Path]) -> None:
    evaluate_masks(backbone, Target(head, split, {"zero_shot": {}}), masks)


def timed_rows(device: torch.device, images: int, repetitions: int, data: Path | None) -> Iterator[str]:
    """Markdown rows: task, row, seconds, seconds of the task's first row over those of this one."""

    def timed(rows: Mapping[str, Row]) -> dict[str, tuple[float, Any]]:
        # One thread on a machine that others use: its own processor time is what counts.
        return measure(rows, repetitions, device, time.process_time if device.type == "cpu" else time.perf_counter)

    with tempfile.TemporaryDirectory() as folder:
        for name in ("resnet-supervised", "vit-supervised"):
            inputs = Inputs(name, images, Path(folder), device)
            yield from _rows(f"fine-tuning, {name}", timed(training(inputs)))
            yield from _rows(f"evaluation, {name}", timed(evaluation(inputs)))
        if data:
            inputs = Inputs("mobilenetv2", BATCH, Path(folder), device)
            rows = against_a_dataloader(inputs, data, images // 4)
            yield from _rows(f"{images // 4} real images, MobileNetV2 at 128 px", timed(rows))


def _rows(task: str, measured: dict) -> Iterator[str]:
    first = next(iter(measured.values()))[0]
    for name, (seconds, _) in measured.items():
        yield f"| {task} | {name} | {seconds:.2f} | {first / seconds:.2f} |"


def start_rows() -> Iterator[str]:
    """What each stage imports before its work: seconds of processor time in a fresh interpreter, the best of two."""
    program = "import time, {}; print(time.process_time())"
    for stage, modules in IMPORTS.items():
        command = [sys.executable, "-c", program.format(modules)]
        seconds = min(float(subprocess.check_output(command, text=True)) for _ in range(2))
        yield f"| {stage} | {seconds:.2f} |"


def study_rows(folder: Path) -> Iterator[str]:
    """Jobs, their time by the clock, and their time in the stage's own code, from a study's costs and logs."""
    jobs = []
    for path in sorted((folder / "costs").rglob("*.tsv")):
        log = folder / "logs" / path.relative_to(folder / "costs").with_suffix(".log")
        last = log.read_text().splitlines()[-1] if log.exists() else ""
        work = float(last.split()[-2]) if last.endswith(" s") else np.nan
        stage = path.relative_to(folder / "costs").parts[0].removesuffix(".tsv")
        jobs.append((stage, pd.read_csv(path, sep="\t")["s"].sum(), work, path.stat().st_mtime))
    found = pd.DataFrame(jobs, columns=["stage", "seconds", "work", "end"])
    for stage, group in found.groupby("stage"):
        yield f"| {stage} | {len(group)} | {group['seconds'].sum():.0f} | {group['work'].sum():.0f} |"
    wall = found["end"].max() - (found["end"] - found["seconds"]).min()
    total, work = found["seconds"].sum(), found["work"].sum()
    yield f"| all | {len(found)} | {total:.0f} | {work:.0f} |"
    yield f"\nBy the clock {wall:.0f} s; {1 - work / total:.0%} of the jobs' time is start-up, not a stage's own code."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--data", type=Path, help="folder of real images, <class>/*")
    parser.add_argument("--study", type=Path, help="results of a study that has run")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads, one as in a job of a study")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into this page's section")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    head = ["| task | row | seconds | speed |", "| --- | --- | ---: | ---: |"]
    lines = itertools.chain(
        [machine(options.device), "", *head],
        timed_rows(options.device, options.images, options.repetitions, options.data),
        ["", "| stage | start-up, s |", "| --- | ---: |"],
        start_rows(),
    )
    if options.study:
        columns = ["", "| stage | jobs | seconds | in its own code |", "| --- | ---: | ---: | ---: |"]
        lines = itertools.chain(lines, columns, study_rows(options.study))
    text = ""
    for line in lines:
        print(line, flush=True)
        text += line + "\n"
    if options.write:
        write_section(options.write, f"throughput, {options.device.type}", text)


if __name__ == "__main__":
    main()
