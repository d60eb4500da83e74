"""What pruning a large backbone at once takes, stage by stage, as multiples of the forward passes of its images.

    python benchmarks/oneshot.py measure --networks resnet50 vit_base_patch16_224
    python benchmarks/oneshot.py measure --device cuda
    python benchmarks/oneshot.py write docs

Random weights and images of noise cost the same as others. On one thread of the CPU seconds are those of the process,
so that other work beside it hardly counts, and memory is the process's; on a GPU seconds are the clock's, and memory is
what PyTorch's tensors held there. A file for each device and network in results/benchmarks/oneshot.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import timm
import torch
from measuring import machine, write_section
from rows import file_of, write_rows
from tasks import CACHE
from torch import nn
from torch.nn.utils import prune as torch_prune

from prunetransfer.criteria.features import features
from prunetransfer.criteria.source import Source
from prunetransfer.criteria.sparsegpt import sparsegpt
from prunetransfer.datasets.splits import Split
from prunetransfer.models.backbones import Backbone, extract_features
from prunetransfer.models.plain import PRUNABLE_LAYERS
from prunetransfer.pruning.apply import mask_tensors
from prunetransfer.pruning.masks import Mask, global_mask
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.reconstruct import reconstruct
from prunetransfer.recovery.refine import refine

FOLDER = CACHE / "oneshot"
SIZE = 224
SPARSITY = 0.5
GIB = 2**30
STAGES = {
    "forward": "forward passes of the images",
    "score": "score `features`",
    "mask": "mask",
    "reconstruct": "`reconstruct`",
    "refine": "`refine`, in place of mask and `reconstruct`",
    "magnitude": "`torch.nn.utils.prune.global_unstructured`, magnitude",
    "sparsegpt": "SparseGPT's sweep over the layers, its mask alone",
}
OURS = ["score", "mask", "reconstruct"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--networks", nargs="+", default=["resnet50", "vit_base_patch16_224"])
    measuring.add_argument("--images", type=int, default=256)
    measuring.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    measuring.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    commands.add_parser("write").add_argument("docs", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "write":
        for folder in FOLDER.iterdir():
            frame = pd.concat(map(pd.read_parquet, sorted(folder.glob("*.parquet"))), ignore_index=True)
            write_section(arguments.docs / "benchmarks.md", f"oneshot, {folder.name}", "\n".join(_table(frame)))
        return
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False  # as in a study
    for name in arguments.networks:
        rows = []
        for row in measured(name, arguments.images, arguments.stages, arguments.device):
            rows.append(row | {"machine": machine(arguments.device)})
            write_rows(
                file_of(FOLDER / arguments.device.type, name), rows
            )  # what a run that is cut short has measured stays


def measured(name: str, images: int, stages: list[str], device: torch.device) -> Iterator[dict[str, Any]]:
    """One row a stage: its seconds, and the most memory that was held meanwhile."""
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0)
    for module in network.modules():  # where it begins at zero no gradient passes
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
    dense = Backbone(network, [0.5] * 3, [0.25] * 3).eval().to(device)
    dense.lay_out(contiguous=False)
    pixels = torch.randint(256, (images, SIZE, SIZE, 3), dtype=torch.uint8)
    train = Split(pixels, torch.zeros(images, dtype=torch.int64), ("any",))
    scores: dict[str, Any] = {}
    mask: Mask = {}

    def score() -> None:
        found = features(Source(dense, None, train), samples=images)
        scores.update({key: values.cpu().numpy() for key, values in found.items()})

    def case(pruned: bool) -> Case:
        backbone, keep = copy.deepcopy(dense), mask_tensors(mask, dense.device)
        if pruned:
            backbone.prune(keep)
        return Case(backbone, dense, keep, None, train, 0)

    def magnitude() -> None:
        copied = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # it takes views of the weights
        layers = [(layer, "weight") for layer in copied.modules() if isinstance(layer, PRUNABLE_LAYERS)]
        torch_prune.global_unstructured(layers, torch_prune.L1Unstructured, amount=SPARSITY)

    work: dict[str, Callable[[], Any]] = {
        "forward": lambda: extract_features(dense, pixels),
        "score": score,
        "mask": lambda: mask.update(global_mask(scores, SPARSITY)),
        "reconstruct": lambda: reconstruct(case(pruned=True), samples=images),
        "refine": lambda: refine(case(pruned=False), samples=images),
        "magnitude": magnitude,
        "sparsegpt": partial(sparsegpt, Source(dense, None, train), sparsity=SPARSITY, samples=images),
    }
    for stage in (stage for stage in STAGES if stage in stages):
        if device.type == "cuda" and stage == "forward":
            work[stage]()  # the first pass also loads kernels
        seconds, peak = _taken(work[stage], device)
        print(f"{name} {stage}: {seconds:.1f} s, {peak / GIB:.2f} GiB", flush=True)
        yield {"network": name, "images": images, "stage": stage, "seconds": seconds, "peak": peak}


def _taken(work: Callable[[], Any], device: torch.device) -> tuple[float, int]:
    """Seconds, and the most bytes that were held meanwhile."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        work()
        torch.cuda.synchronize(device)
        return time.perf_counter() - start, torch.cuda.max_memory_allocated(device)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what is resident now
    start = time.process_time()
    work()
    peak = 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    return time.process_time() - start, peak


def _table(frame: pd.DataFrame) -> Iterator[str]:
    yield f"{frame['machine'].iloc[0]}; sparsity {SPARSITY:g}, {SIZE} × {SIZE} pixels.\n"
    networks = list(frame["network"].unique())
    images = frame.groupby("network")["images"].first()
    seconds = frame.pivot(index="stage", columns="network", values="seconds")
    peak = frame.pivot(index="stage", columns="network", values="peak")
    yield "| | " + " | ".join(f"`{name}`, {images[name]} images" for name in networks) + " |"
    yield "| --- |" + " ---: |" * len(networks)

    def entry(value: float, memory: float, passes: float) -> str:
        if pd.isna(value):
            return ""
        ratio = value / passes
        taken = f"{ratio:.{0 if ratio >= 10 else 2}f} passes" if ratio >= 0.01 else "< 0.01 passes"
        return f"{taken if value != passes else f'{value:.2g} s'}, {memory / GIB:.1f} GiB"

    for stage in (stage for stage in STAGES if stage in seconds.index):
        cells = [entry(seconds[n][stage], peak[n][stage], seconds[n]["forward"]) for n in networks]
        yield f"| {STAGES[stage]} | " + " | ".join(cells) + " |"
    totals = [
        entry(seconds[n].reindex(OURS).sum(skipna=False), peak[n].reindex(OURS).max(), seconds[n]["forward"])
        for n in networks
    ]
    yield "| score, mask and `reconstruct` together | " + " | ".join(totals) + " |\n"


if __name__ == "__main__":
    main()
