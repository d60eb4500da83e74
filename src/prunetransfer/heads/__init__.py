"""Linear classifiers ξ on frozen features: outputs are φ(x; W)ᵀξ plus a bias.

How a kind is fitted: `fitting`; `own` is the checkpoint's classifier, as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from prunetransfer.heads.losses import LOSSES
from prunetransfer.storage.artifacts import read_metadata, read_tensors, write_tensors

LOSS_OF_KIND = {"ridge": "squared", "logistic": "cross_entropy", "own": "cross_entropy"}


@dataclass(frozen=True)
class Head:
    """weight [d, classes], bias [classes]; how it was fitted: its kind, penalty, and the error of each one tried.

    `own` has no penalty.
    """

    weight: Tensor
    bias: Tensor
    alpha: float | None
    kind: str = "ridge"
    tried: Mapping[float, float] = field(default_factory=dict)

    def __call__(self, features: Tensor) -> Tensor:
        return features @ self.weight + self.bias

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The loss that its kind minimises, of each image [n]: squared for ridge, else cross-entropy."""
        return LOSSES[LOSS_OF_KIND[self.kind]](outputs, labels)

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32) -> Head:
        return replace(self, weight=self.weight.to(device, dtype), bias=self.bias.to(device, dtype))


def write_head(path: str | Path, head: Head, metadata: Mapping[str, object]) -> None:
    """Weight and bias as tensors; kind, penalty and the errors of the penalties tried beside `metadata`."""
    tensors = {"weight": head.weight.cpu().numpy(), "bias": head.bias.cpu().numpy()}
    fitted = {"kind": head.kind, "alpha": head.alpha, "tried": list(head.tried.items())}
    write_tensors(path, tensors, {**metadata, **fitted})


def read_head(path: str | Path, device: torch.device) -> Head:
    """A head from its file, on `device`, float32."""
    tensors, metadata = read_tensors(path), read_metadata(path)
    weight, bias = torch.from_numpy(tensors["weight"]), torch.from_numpy(tensors["bias"])
    return Head(weight, bias, metadata["alpha"], metadata["kind"], dict(metadata["tried"])).to(device)
