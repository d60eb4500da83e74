"""Fine-tune the pruned backbone on one dataset, its head and its normalisation statistics frozen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from prunetransfer.backbones import Backbone
from prunetransfer.datasets.splits import Split
from prunetransfer.heads import Head
from prunetransfer.losses import LOSSES


def recover(
    backbone: Backbone,
    dense: Backbone,
    mask: Mapping[str, Tensor],
    head: Head,
    train: Split,
    seed: int,
    *,
    loss: str,
    epochs: int,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    batch_size: int,
    milestones: Sequence[int],
) -> None:
    """SGD on the mean loss over `train`; the learning rate falls tenfold after each epoch in `milestones`.

    backbone: already masked. mask: name → bool tensor on the backbone's device. Every parameter moves but the pruned
    weights, which stay exactly zero. Raises FloatingPointError, naming step and learning rate, when the loss is not
    finite. The paper's protocol: 90 epochs at 5e-5, momentum 0.9, weight decay 1e-4, batches of 64, milestones 30, 60
    and 80.
    """
    device = backbone.device
    generator = torch.Generator().manual_seed(seed)
    weights = list(backbone.prunable().values())
    keep = [mask[name].to(weight.dtype) for name, weight in backbone.prunable().items()]
    optimizer = torch.optim.SGD(backbone.parameters(), learning_rate, momentum, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(milestones), gamma=0.1)
    backbone.eval()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for step, batch in enumerate(torch.randperm(len(train.labels), generator=generator).split(batch_size), 1):
            x, y = train.images[batch].to(device), train.labels[batch].to(device)
            batch_loss = LOSSES[loss](head(backbone(x)), y).mean()
            optimizer.zero_grad(set_to_none=True)
            batch_loss.backward()
            optimizer.step()
            with torch.no_grad():
                torch._foreach_mul_(weights, keep)
            total += batch_loss.item() * len(y)
            if not math.isfinite(total):
                rate = schedule.get_last_lr()[0]
                raise FloatingPointError(
                    f"fine-tuning diverged in step {step} of epoch {epoch} at learning rate {rate}"
                )
        schedule.step()
        print(f"epoch {epoch}/{epochs}  loss {total / len(train.labels):.5f}", flush=True)
