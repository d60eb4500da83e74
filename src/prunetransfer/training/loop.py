"""The loop of gradient descent that fine-tuning and pre-training share, and what it keeps to go on after a crash."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunetransfer.datasets.splits import Split
from prunetransfer.runtime.devices import spare_memory
from prunetransfer.training.recipe import Recipe
from prunetransfer.training.saved_state import SavedState

# Steps between looks at the loss: each look makes a GPU wait.
CHECK_EVERY = 50
COUNTERS = ("epoch", "step", "seconds", "order", "losses", "correct", "curve")


class Objective(nn.Module):
    """What is minimised, with all that changes meanwhile. The parameters of `trained` follow their gradients.

    precision: the arithmetic of `embed`: `float32`, `bfloat16`, or `auto`, which is bfloat16 on a GPU.
    """

    trained: nn.Module
    classifies = True
    precision: str = "auto"

    def forward(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """The mean loss of a batch, and its class scores [n, classes] where the objective `classifies`.

        images: uint8 [n, h, w, 3]; labels: int64 [n]. What is random is drawn from `generator`.
        """
        raise NotImplementedError

    def embed(self, network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """A network's outputs, in float32 at least whatever the arithmetic."""
        kind = images.device.type
        half = self.precision == "bfloat16" or (self.precision == "auto" and kind == "cuda")
        with torch.autocast(kind, torch.bfloat16, enabled=half):
            outputs = network(images)
        return outputs.to(torch.promote_types(outputs.dtype, torch.float32))

    def start_epoch(self, epoch: int) -> None:
        """Prepare for the steps of an epoch, counted from 1; called again where a run goes on in the midst of one."""

    def before_step(self) -> None:
        """Change gradients before they are followed."""

    def after_step(self, progress: float) -> None:
        """Let other networks follow the trained one; progress: the share of all steps that is done, in (0, 1]."""

    def end_epoch(self) -> dict[str, Any]:
        """What the curve says of an epoch beside its loss."""
        return {}


def train(
    objective: Objective,
    split: Split,
    recipe: Recipe,
    seed: int,
    saved: SavedState | None = None,
    what: str = "training",
) -> list[dict[str, Any]]:
    """Minimise `objective` over the images of `split`; returns the curve, one dict an epoch.

    saved: where it is given, a run that was killed goes on from its last state and ends in the weights that it would
    have had. Raises FloatingPointError, naming step and learning rate, when the loss or a weight is not finite.
    """
    device = next(objective.parameters()).device
    images, labels = split.images, split.labels.to(device)
    if images.nbytes < spare_memory(device):
        images = images.to(device)
    run = _Run(objective, recipe, seed, math.ceil(len(labels) / recipe.batch_size), what)
    if saved and (state := saved.load()):
        run.load_state_dict(state)
        print(f"resumed after step {run.step} of epoch {run.epoch}", flush=True)
    while run.epoch <= recipe.epochs:
        if run.step == 0:
            run.order = torch.randperm(len(labels), generator=run.generator)
        objective.start_epoch(run.epoch)
        start = time.perf_counter() - run.seconds
        for batch in run.order.split(recipe.batch_size)[run.step :]:
            run.take_step(images[batch.to(images.device)].to(device), labels[batch.to(device)])
            run.seconds = time.perf_counter() - start
            if run.step % CHECK_EVERY == 0 or run.step == run.steps:
                run.check_finite()
            if saved and saved.due():
                saved.save(run.state_dict())
        row = run.close_epoch(objective.end_epoch())
        shown = (f"{name.replace('_', ' ')} {value:.4g}" for name, value in row.items() if value is not None)
        print("  ".join(shown), flush=True)
    for parameter in objective.trained.parameters():
        parameter.grad = None
    return run.curve


class _Run:
    """What changes while a network is trained."""

    def __init__(self, objective: Objective, recipe: Recipe, seed: int, steps: int, what: str):
        self.objective, self.recipe, self.steps, self.what = objective, recipe, steps, what
        self.parameters = [parameter for parameter in objective.trained.parameters() if parameter.requires_grad]
        self.updates = recipe.optimizer_of(objective.trained)
        self.generator = torch.Generator().manual_seed(seed)
        device = self.parameters[0].device
        self.epoch, self.step, self.seconds = 1, 0, 0.0  # step: how many of this epoch are done
        self.order = torch.zeros(0, dtype=torch.int64)
        self.losses = torch.zeros(steps, device=device)  # summed over the images of each step
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.curve: list[dict[str, Any]] = []

    @property
    def done(self) -> int:
        """Steps taken in all epochs."""
        return (self.epoch - 1) * self.steps + self.step

    def take_step(self, images: Tensor, labels: Tensor) -> None:
        loss, outputs = self.objective(images, labels, self.generator)
        # Gradients stay where they are, so that what is done to all of them needs no loop over layers.
        self.updates.zero_grad(set_to_none=False)
        loss.backward()
        self.objective.before_step()
        if self.recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip_norm)
        for group in self.updates.param_groups:
            group["lr"] = self.recipe.rate(self.done, self.steps)
        self.updates.step()
        self.losses[self.step] = loss.detach() * len(labels)
        if outputs is not None:
            self.correct += (outputs.argmax(1) == labels).sum()
        self.step += 1
        self.objective.after_step(self.done / (self.recipe.epochs * self.steps))

    def state_dict(self) -> dict[str, Any]:
        return {
            "objective": self.objective.state_dict(),
            "updates": self.updates.state_dict(),
            "generator": self.generator.get_state(),
            "random": _random_states(self.losses.device),
            **{name: getattr(self, name) for name in COUNTERS},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.objective.load_state_dict(state["objective"])
        self.updates.load_state_dict(state["updates"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["random"][0])
        for of_gpu in state["random"][1:]:
            torch.cuda.set_rng_state(of_gpu, self.losses.device)
        for name in COUNTERS:
            value = state[name]
            setattr(self, name, value.to(getattr(self, name).device) if isinstance(value, Tensor) else value)

    def check_finite(self) -> None:
        """Raise FloatingPointError, naming step and learning rate, if a loss of this epoch or a weight is not."""
        bad = (~self.losses[: self.step].isfinite()).nonzero()
        if len(bad):
            step = int(bad[0]) + 1
        elif not torch.stack(torch._foreach_norm(self.parameters)).sum().isfinite():
            step = self.step
        else:
            return
        at = self.recipe.rate((self.epoch - 1) * self.steps + step - 1, self.steps)
        raise FloatingPointError(f"{self.what} diverged in step {step} of epoch {self.epoch} at learning rate {at:.3g}")

    def close_epoch(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """Add a row to the curve, which is returned, and begin the next epoch."""
        images = len(self.order)
        self.curve.append(
            {
                "epoch": self.epoch,
                "step": self.done,
                "loss": self.losses.sum(dtype=torch.float64).item() / images,
                "train_top1": self.correct.item() / images if self.objective.classifies else None,
                "learning_rate": self.updates.param_groups[0]["lr"],
                "seconds": self.seconds,
                **more,
            }
        )
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.correct.zero_()
        return self.curve[-1]


def _random_states(device: torch.device) -> list[Tensor]:
    """What layers such as dropout draw from: the CPU's generator, and a GPU's own."""
    of_gpu = [torch.cuda.get_rng_state(device)] if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *of_gpu]
