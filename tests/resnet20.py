"""The CIFAR ResNet (He et al. 2016, §4.2), as one brings an architecture of one's own: `tests/resnet20.py:resnet20`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def resnet20(num_classes: int = 0) -> CifarResNet:
    """Three blocks a stage. With `num_classes` 0 it ends in its 64 pooled features, else in the classifier `linear`."""
    return CifarResNet(blocks=3, num_classes=num_classes)


class CifarResNet(nn.Module):
    """Images [n, 3, h, w] → features [n, 64] or logits [n, num_classes]."""

    def __init__(self, blocks: int, num_classes: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(blocks, 16, 16, stride=1)
        self.layer2 = _stage(blocks, 16, 32, stride=2)
        self.layer3 = _stage(blocks, 32, 64, stride=2)
        self.linear = nn.Linear(64, num_classes) if num_classes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut without weights (option A: subsample, then pad channels with zeros)."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.padding = (channels - channels_in) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        return torch.relu(y + F.pad(shortcut, (0, 0, 0, 0, self.padding, self.padding)))


def _stage(blocks: int, channels_in: int, channels: int, stride: int) -> nn.Sequential:
    rest = [BasicBlock(channels, channels, stride=1) for _ in range(blocks - 1)]
    return nn.Sequential(BasicBlock(channels_in, channels, stride), *rest)
