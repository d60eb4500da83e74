"""Heads beside scikit-learn's on the same features, in time, in the loss that they reach, and in accuracy.

    python benchmarks/heads.py --data FOLDER --weights FILE --write docs/benchmarks.md

FOLDER holds cifar10 and omniglot (`<name>/{train,test}/<class>/*`), FILE the weights of timm's mobilenetv2_100. Without
them the tasks of real features are left out.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from measuring import Row, machine, measure, peak_bytes, write_section
from sklearn.linear_model import LogisticRegression, RidgeClassifier, RidgeClassifierCV
from torch import Tensor
from torch.nn import functional as F
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from prunetransfer.heads import Head
from prunetransfer.heads.logistic import fit_logistic
from prunetransfer.heads.penalty import ALPHAS
from prunetransfer.heads.ridge import fit_ridge
from prunetransfer.models.backbones import build_backbone, extract_features

SIZE = 128
TEST = 2000
Labelled = tuple[Tensor, Tensor]


def synthetic(images: int, width: int, classes: int, apart: float, split: str) -> Labelled:
    """Clouds about centres, those `apart` times as wide as a cloud; the k-th principal axis has variance 1/k.

    The axes are mixed, the mean is not 0. Scaled to a mean variance of 1 a feature, about that of a ViT's.
    """
    generator = torch.Generator().manual_seed(0)
    std = torch.arange(1, width + 1).rsqrt()
    std *= (width / std.square().sum()).sqrt()
    axes = torch.linalg.qr(torch.randn(width, width, generator=generator))[0]
    centres = apart * torch.randn(classes, width, generator=generator)
    mean = torch.randn(width, generator=generator)
    generator.manual_seed(1 if split == "train" else 2)
    labels = torch.arange(images if split == "train" else TEST) % classes
    return (centres[labels] + torch.randn(len(labels), width, generator=generator)) * std @ axes + mean, labels


@cache
def real(folder: Path, weights: Path, per_class: int, split: str) -> Labelled:
    """Features of the first images of each class, by MobileNetV2."""
    plain = {"mean": [0.5] * 3, "std": [0.5] * 3, "exclude": []}
    backbone = build_backbone({"architecture": "mobilenetv2_100", "options": {"pad_type": "same"}, **plain})
    state = torch.load(weights, weights_only=True)
    backbone.network.load_state_dict({name: state[name].float() for name in backbone.network.state_dict()})
    transform = v2.Compose([v2.RGB(), v2.PILToTensor(), v2.Resize((SIZE, SIZE), antialias=True)])
    files = ImageFolder(str(folder / split), transform=transform)
    labels = torch.tensor(files.targets)
    chosen = torch.cat([(labels == label).nonzero()[:per_class, 0] for label in range(len(files.classes))])
    images = torch.stack([files[int(i)][0].permute(1, 2, 0) for i in chosen])
    return extract_features(backbone, images), labels[chosen]


@dataclass(frozen=True)
class Heads:
    """Heads of one kind on one set of features; α is chosen where it is None. `others`: scikit-learn takes part."""

    kind: str
    inputs: tuple  # images, width, classes, apart; or folder, weights, images a class
    alpha: float | None = 100.0
    others: bool = True

    def features(self, split: str) -> Labelled:
        return (real if isinstance(self.inputs[0], Path) else synthetic)(*self.inputs, split)

    def rows(self, device: torch.device) -> dict[str, Row]:
        x, y = (tensor.to(device) for tensor in self.features("train"))
        fit = {"logistic": fit_logistic, "ridge": fit_ridge}[self.kind]
        rows: dict[str, Row] = {f"**{fit.__name__}**": lambda: fit(x, y, int(y.max()) + 1, self.alpha)}
        if self.others:
            for name, (model, precision) in self._models().items():
                rows[name] = partial(self._head, model, x.to(precision), y)
        return rows

    def _models(self) -> dict[str, tuple[Any, torch.dtype]]:
        """scikit-learn's models of this kind by name, and the features' precision, in which it computes."""
        if self.alpha is None:
            return {"RidgeClassifierCV": (RidgeClassifierCV(ALPHAS, class_weight="balanced"), torch.float64)}
        if self.kind == "ridge":
            model = RidgeClassifier(alpha=self.alpha, class_weight="balanced")
            return {f"RidgeClassifier, {str(p)[6:]}": (model, p) for p in (torch.float32, torch.float64)}
        options = {"C": 1 / self.alpha, "class_weight": "balanced", "max_iter": 10_000}
        return {
            f"LogisticRegression, tol={tol:.0e}, {str(p)[6:]}": (LogisticRegression(tol=tol, **options), p)
            for tol, p in ((1e-4, torch.float32), (1e-6, torch.float32), (1e-6, torch.float64))
        }

    def _head(self, model: Any, x: Tensor, y: Tensor) -> Head:
        model.fit(x.cpu().numpy(), y.cpu().numpy())
        return Head(torch.from_numpy(model.coef_.T), torch.from_numpy(model.intercept_), self.alpha, self.kind)

    def loss(self, head: Head) -> float:
        """What a logistic head minimises, nats an image, in float64: its classes are balanced here."""
        x, y = self.features("train")
        head = head.to(torch.device("cpu"), torch.float64)
        return (F.cross_entropy(head(x.double()), y) + 0.5 * self.alpha / len(y) * head.weight.square().sum()).item()


def table(tasks: dict[str, Heads], device: torch.device, repetitions: int) -> Iterator[str]:
    """Markdown rows. Predictions on test images are compared with those of the task's first row."""
    yield "| task | row | seconds | ratio | excess loss | accuracy, % | same answers, % | peak MiB |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    # One thread on a machine that others use: its own processor time is what counts.
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    for task_name, task in tasks.items():
        measured = measure(task.rows(device), repetitions, device, clock)
        x, y = task.features("test")
        first = next(iter(measured.values()))[0]
        heads = {name: head.to(torch.device("cpu")) for name, (_, head) in measured.items()}
        answers = {name: head(x).argmax(1) for name, head in heads.items()}
        losses = {name: task.loss(head) if task.kind == "logistic" else 0 for name, head in heads.items()}
        ours = next(iter(answers.values()))
        for name, (seconds, _) in measured.items():
            excess = f"{losses[name] - min(losses.values()):.0e}" if task.kind == "logistic" and task.others else ""
            accuracy, same = ((answers[name] == other).double().mean() * 100 for other in (y, ours))
            peak = "" if task.others else f"{peak_bytes(task, name, device) / 2**20:.0f}"
            cells = task_name, name, f"{seconds:.2f}", f"{seconds / first:.2f}", excess
            yield f"| {' | '.join(cells)} | {accuracy:.1f} | {same:.1f} | {peak} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--data", type=Path, help="folder of cifar10 and omniglot")
    parser.add_argument("--weights", type=Path, help="those of timm's mobilenetv2_100")
    parser.add_argument("--repetitions", type=int, default=1, help="turns after the first")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page's section")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tasks = {
        "logistic, 10,000 × 768, 100 classes": Heads("logistic", (10_000, 768, 100, 0.15)),
        "ridge, 10,000 × 2048, 100 classes": Heads("ridge", (10_000, 2048, 100, 0.15)),
        "ridge, α chosen, 10,000 × 768, 100 classes": Heads("ridge", (10_000, 768, 100, 0.15), None),
        "logistic, 1000 classes of 10 images × 768": Heads("logistic", (10_000, 768, 1000, 0.45), 1.0, others=False),
        "ridge, 1000 classes of 10 images × 768": Heads("ridge", (10_000, 768, 1000, 0.45), others=False),
    }
    if options.data and options.weights:
        cifar10, omniglot = ((options.data / name, options.weights) for name in ("cifar10", "omniglot"))
        tasks["logistic, cifar10, 2000 × 1280"] = Heads("logistic", (*cifar10, 200))
        tasks["ridge, cifar10, 2000 × 1280"] = Heads("ridge", (*cifar10, 200))
        tasks["logistic, omniglot, 136 classes of 5 images × 1280"] = Heads("logistic", (*omniglot, 5))
    text = ""
    lines = table(tasks, options.device, options.repetitions)
    for line in itertools.chain([machine(options.device), ""], lines):
        print(line, flush=True)
        text += line + "\n"
    if options.write:
        write_section(options.write, f"heads, {options.device.type}", text)


if __name__ == "__main__":
    main()
