"""A small model with images and labels, to be pruned in one call, and how pruned ones are compared."""

from __future__ import annotations

import torch
from torch import Tensor, nn

AT_ONCE = {"rounds": 1, "recovery": "reconstruct"}


class Small(nn.Module):
    """Two convolutions, a linear layer and a classifier, on images of any number of channels."""

    def __init__(self, channels: int = 3, classes: int = 5) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU())
        self.neck = nn.Linear(8, 6)
        self.fc = nn.Linear(6, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.relu(self.neck(self.body(x).mean((2, 3)))))


torch.manual_seed(0)
INPUTS, LABELS = torch.randn(24, 3, 12, 12), torch.arange(24) % 5
MODEL = Small().train()


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.named_parameters() if tensor.dim() > 1}


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(a.equal(b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def zeros(model: nn.Module, *names: str) -> int:
    return sum(int((tensor == 0).sum()) for name, tensor in weights_of(model).items() if name in names)
