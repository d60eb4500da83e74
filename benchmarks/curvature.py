"""The cost of curvature beside that of an ordinary training step, and of other ways to the same numbers.

    python benchmarks/curvature.py --write docs/benchmarks.md

All rows of a task are measured in one run on the same inputs. BackPACK takes part where it can be imported
(`pip install backpack-for-pytorch`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm.layers
import torch
from measuring import Row, Task, machine, measure, peak_bytes, write_section
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from prunetransfer.curvature.diagonal import mean_squares
from prunetransfer.curvature.gradients import Rows, layer_gradients, loss_gradient
from prunetransfer.curvature.passes import of_blocks
from prunetransfer.heads import Head
from prunetransfer.heads.losses import squared
from prunetransfer.models.backbones import Backbone, build_backbone

CLASSES = 10
BATCH = 64
BUDGET = 2**33  # bytes: one pass
OURS = "**this engine**"
NETWORKS = {
    "cpu": {"ResNet-18": "resnet18", "ViT-Tiny/16": "vit_tiny_patch16_224"},
    "cuda": {"ResNet-50": "resnet50", "ViT-B/16": "vit_base_patch16_224"},
}

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Diagonal:
    """Σ_i g_i² of every weight of a network with random weights, on images of noise."""

    architecture: str
    images: int
    size: int

    def rows(self, device: torch.device) -> dict[str, Row]:
        torch.manual_seed(0)
        backbone = self._backbone().to(device)
        images = torch.randint(256, (self.images, self.size, self.size, 3), dtype=torch.uint8).to(device)
        labels = (torch.arange(self.images) % CLASSES).to(device)
        with torch.no_grad():
            width = backbone(images[:1]).shape[1]
        head = Head(torch.randn(width, CLASSES), torch.zeros(CLASSES), alpha=1.0).to(device)
        weights = backbone.prunable()

        def batches(size: int) -> Iterator[tuple[Tensor, Tensor]]:
            return zip(images.split(size), labels.split(size), strict=True)

        def forward_backward() -> None:
            for x, y in batches(BATCH):
                backbone.zero_grad()
                squared(head(backbone(x)), y).sum().backward()

        def ours() -> Tensors:
            return mean_squares(layer_gradients(backbone, head, images, labels, loss_gradient(squared)), 1)

        def one_at_a_time() -> Tensors:
            total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
            for x, y in batches(1):
                gradients = torch.autograd.grad(squared(head(backbone(x)), y).sum(), list(weights.values()))
                for g, sums in zip(gradients, total.values(), strict=True):
                    sums.addcmul_(g, g)
            return total

        unfused = self._backbone(fused=False).to(device)  # vmap has no rule for fused attention

        def vmap_grad() -> Tensors:
            def loss(weights: Tensors, image: Tensor, label: Tensor) -> Tensor:
                return squared(head(functional_call(unfused, weights, (image[None],))), label[None]).squeeze()

            gradients = vmap(grad(loss), in_dims=(None, 0, 0))
            given = {f"network.{name}": weight.detach() for name, weight in weights.items()}
            found = [{name: g.square().sum(0) for name, g in gradients(given, x, y).items()} for x, y in batches(BATCH)]
            return {name: sum(squares[f"network.{name}"] for squares in found) for name in weights}

        rows = {"forward + backward": forward_backward, OURS: ours, "one image at a time": one_at_a_time}
        rows["torch.func vmap(grad)"] = vmap_grad
        try:
            rows["BackPACK BatchGrad"] = self._backpack(backbone, head, batches)
        except ImportError as error:
            print(f"no row for BackPACK: {error}", file=sys.stderr)
        return rows

    def _backbone(self, fused: bool = True) -> Backbone:
        options = {"img_size": self.size} if self.architecture.startswith("vit") else {}
        timm.layers.set_fused_attn(fused)
        network = {"architecture": self.architecture, "options": options, "exclude": []}
        backbone = build_backbone(network | {"mean": [0.5] * 3, "std": [0.25] * 3})
        torch.manual_seed(0)
        for parameter in backbone.parameters():  # timm starts residual branches at zero, where no gradient would pass
            nn.init.normal_(parameter, *((1, 0.1) if parameter.dim() == 1 else (0, parameter[0].numel() ** -0.5)))
        return backbone

    def _backpack(self, backbone: Backbone, head: Head, batches: Any) -> Row:
        from backpack import backpack, extend
        from backpack.extensions import BatchGrad

        extended = self._backbone().to(backbone.device)
        weights = extended.prunable()
        for layer in extended.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                extend(layer)

        def row() -> Tensors:
            total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
            for x, y in batches(BATCH):
                with backpack(BatchGrad()):
                    squared(head(extended(x)), y).sum().backward()
                for name, weight in weights.items():
                    total[name] += weight.grad_batch.square_().sum(0)
                    del weight.grad_batch, weight.grad
            return total

        return row


@dataclass(frozen=True)
class Block:
    """[(F_b + λI)⁻¹]_jj of p weights in blocks of B, from m gradients: noise, of another size for each weight."""

    weights: int
    block: int
    gradients: int
    damping: float = 1e-4

    def rows(self, device: torch.device) -> dict[str, Row]:
        torch.manual_seed(0)
        g = torch.randn(self.gradients, self.weights, device=device)
        g *= 0.01 * torch.randn(self.weights, device=device).exp()

        def ours() -> Tensors:
            def gradients(names: Collection[str]) -> Iterator[dict[str, Rows]]:
                return ({"w": Rows(chunk)} for chunk in g.split(BATCH))

            return of_blocks(
                gradients, {"w": g[0]}, self.block, BUDGET, lambda b, _: b.inverse_diagonal(len(g), self.damping)
            )

        def sequential() -> Tensors:
            """The Woodbury identity, gradient by gradient (WoodFisher, Singh & Alistarh 2020, equation 12)."""
            identity = torch.eye(self.block, device=device) / self.damping
            inverse = identity.repeat(self.weights // self.block, 1, 1)
            for row in g.view(len(g), -1, self.block, 1):
                v = inverse @ row
                inverse.baddbmm_(v / (len(g) + row.mT @ v), v.mT, alpha=-1)
            return {"w": inverse.diagonal(dim1=1, dim2=2).flatten()}

        return {OURS: ours, "sequential rank-1 updates": sequential}


def table(tasks: Mapping[str, Task], device: torch.device, repetitions: int, memory: bool) -> str:
    """Markdown: seconds, the ratio to the task's first row, peak memory, and how far from this engine's numbers."""
    lines = ["| task | row | seconds | ratio | peak MiB | differs by |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    for task_name, task in tasks.items():
        measured = measure(task.rows(device), repetitions, device)
        first, ours = next(iter(measured.values()))[0], measured[OURS][1]
        for name, (seconds, found) in measured.items():
            peak = f"{peak_bytes(task, name, device) / 2**20:.0f}" if memory else ""
            differs = f"{difference(found, ours):.0e}" if found and name != OURS else ""
            cells = task_name, name, f"{seconds:.3g}", f"{seconds / first:.2f}", peak, differs
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def difference(found: Tensors, expected: Tensors) -> float:
    """The largest relative error of a layer, by norm."""
    return max(((found[name] - wanted).norm() / wanted.norm()).item() for name, wanted in expected.items())


def tasks_of(device: str, images: int | None, size: int | None, quick: bool) -> dict[str, Task]:
    """The tasks of a kind of device; `quick` ones show in seconds that all rows run."""
    images = images or (8 if quick else {"cpu": 64, "cuda": 1024}[device])
    size = size or (64 if quick else {"cpu": 64, "cuda": 224}[device])
    blocks = [Block(2**20, 64, 256), Block({"cpu": 2**17, "cuda": 2**20}[device], 128, 1024)]
    if quick:
        blocks = [Block(2**12, 64, 32)]
    tasks: dict[str, Task] = {}
    for name, architecture in NETWORKS[device].items():
        tasks[f"diagonal, {name}, {images} images of {size} px"] = Diagonal(architecture, images, size)
    for block in blocks:
        p = f"2^{block.weights.bit_length() - 1}"
        tasks[f"block, p = {p}, B = {block.block}, m = {block.gradients}"] = block
    return tasks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--images", type=int, help="default: 64 on a CPU, 1024 on a GPU")
    parser.add_argument("--size", type=int, help="pixels; default: 64 on a CPU, 224 on a GPU")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads, one as in a job of a study")
    parser.add_argument("--quick", action="store_true", help="tiny tasks, once, no memory: do all rows run?")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the table into this page's section of the device"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tasks = tasks_of(options.device.type, options.images, options.size, options.quick)
    repetitions = 0 if options.quick else options.repetitions
    text = f"{machine(options.device)}\n\n{table(tasks, options.device, repetitions, memory=not options.quick)}"
    if options.write:
        write_section(options.write, f"curvature, {options.device.type}", text)


if __name__ == "__main__":
    main()
