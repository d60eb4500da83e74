"""Tiny networks with their images and heads, small enough to be compared with a slow reference of the same thing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prunetransfer.datasets.splits import Split
from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone, build_backbone, extract_features

CLASSES = 3
SIZE = 8
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]

CONV = {"architecture": f"{__name__}:ConvNet", "options": {}, "mean": MEAN, "std": STD, "exclude": []}
VIT = {
    **CONV,
    "architecture": "vit_tiny_patch16_224",
    "options": {"img_size": SIZE, "patch_size": 4, "embed_dim": 12, "depth": 1, "num_heads": 2, "mlp_ratio": 2},
}
BACKBONES = {"conv": CONV, "vit": VIT}


class ConvNet(nn.Module):
    """Convolutions with stride, with and without bias, batchnorm and a linear layer: 8×8 images → 5 features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False)
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.fc(torch.relu(self.conv2(x)).mean((2, 3)))


def backbone_of(name: str = "conv") -> Backbone:
    """One of BACKBONES with every tensor drawn anew: no bias is zero, no norm the identity, no gradient tiny."""
    backbone = build_backbone(BACKBONES[name])
    generator = torch.Generator().manual_seed(0)
    for key, tensor in backbone.network.state_dict().items():
        if tensor.is_floating_point():
            values = 0.4 * torch.randn(tensor.shape, generator=generator)
            tensor.copy_(values.abs() + 0.5 if key.endswith("running_var") else values)
    return backbone


def images_of(count: int, seed: int = 0) -> Split:
    """Noise, labelled 0, 1, 2, 0, 1, …: a split of `count` images."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, SIZE, SIZE, 3), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(count) % CLASSES, ("a", "b", "c"))


def head_of(backbone: Backbone) -> Head:
    """A random head that fits the backbone's features and floating-point type."""
    width = extract_features(backbone, images_of(1).images).shape[1]
    generator = torch.Generator().manual_seed(1)
    head = Head(torch.randn(width, CLASSES, generator=generator), torch.randn(CLASSES, generator=generator), alpha=1.0)
    return head.to(backbone.device, backbone.mean.dtype)


def weights_of(backbone: Backbone) -> dict[str, Tensor]:
    """Name → prunable weight, as the scores take them."""
    return {name: weight.detach() for name, weight in backbone.prunable().items()}


def state_of(backbone: Backbone) -> dict[str, Tensor]:
    """A copy of the network's tensors."""
    return {name: tensor.clone() for name, tensor in backbone.network.state_dict().items()}
