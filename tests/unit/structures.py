"""Narrow networks of every kind whose units can go, and masks of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from unit.networks import MEAN, STD

from prunetransfer.models.backbones import Backbone, build_backbone
from prunetransfer.pruning.patterns.channels import channels
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.structure.units import Units, summed

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3, "class_token": False}
# Architecture, options, size of images.
NETWORKS = {
    "resnet": ("resnet18", {"layers": [1, 1, 1, 1], "channels": [16, 24, 32, 48]}, 32),
    "vit": ("vit_tiny_patch16_224", {**VIT, "global_pool": "avg"}, 32),
    "torchvision vit": (f"{__name__}:torchvision_vit", {}, 16),
    "mobilenet": ("mobilenetv2_035", {}, 32),
    "squeeze and excitation": ("mobilenetv3_small_050", {}, 32),
    "convnext": ("convnext_atto", {"depths": [1, 1, 1, 1], "dims": [8, 12, 16, 20]}, 32),
    "grouped": ("resnext50_32x4d", {"layers": [1, 1, 1, 1], "cardinality": 8, "base_width": 8}, 32),
    "joined": ("torchvision:squeezenet1_1", {}, 64),
    "toy": (f"{__name__}:Toy", {}, 8),
    "flattened": (f"{__name__}:Flattened", {}, 8),
    "toy groups": (f"{__name__}:Grouped", {}, 8),
}


class Toy(nn.Module):
    """Layers that write the stream that they read, so that rows and columns of one unit cross."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 10, 3, padding=1)
        self.norm = nn.BatchNorm2d(10)
        self.one = nn.Conv2d(10, 10, 3, padding=1, bias=False)
        self.two = nn.Conv2d(10, 10, 1)
        self.fc = nn.Linear(10, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = x + torch.relu(self.one(x))
        return self.fc((x + self.two(torch.tanh(x))).mean((2, 3)))


class Flattened(nn.Sequential):
    """Four columns of the linear layer read each channel."""

    def __init__(self) -> None:
        layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 9), nn.Tanh()]
        super().__init__(*layers, nn.Linear(9, 5))


class Grouped(nn.Sequential):
    """A convolution whose groups read three channels each and write two."""

    def __init__(self) -> None:
        layers = [nn.Conv2d(3, 12, 3), nn.Tanh(), nn.Conv2d(12, 8, 3, groups=4), nn.Tanh(), nn.Conv2d(8, 8, 1)]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


class Split(nn.Module):
    """Half of the channels pass a layer by, and the halves are joined the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.part, self.mix = nn.Conv2d(3, 8, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(8, 8, 1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.stem(x).split(4, dim=1)
        return self.fc(self.mix(torch.cat([second, self.part(first)], dim=1)).mean((2, 3)))


def torchvision_vit() -> nn.Module:
    from torchvision.models.vision_transformer import VisionTransformer

    network = VisionTransformer(16, 4, num_layers=1, num_heads=3, hidden_dim=24, mlp_dim=40)
    network.heads = nn.Identity()
    return network


def structured(name: str, exclude: tuple[str, ...] = ()) -> Backbone:
    """One of NETWORKS in double precision, no bias zero and no norm the identity."""
    architecture, options, _ = NETWORKS[name]
    settings = {"architecture": architecture, "options": options, "mean": MEAN, "std": STD, "exclude": exclude}
    torch.manual_seed(0)
    return disturbed(build_backbone(settings).double())


def disturbed(backbone: Backbone, mask: Mapping[str, np.ndarray] | None = None) -> Backbone:
    """The backbone with other weights, biases, scales and statistics; what the mask prunes stays zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in backbone.network.state_dict().items():
            if tensor.is_floating_point():
                spread = tensor.std(correction=0)
                change = 0.3 * torch.randn(tensor.shape, generator=generator).to(tensor)
                change *= spread if spread > 0.01 else 1
                tensor.add_(change.abs() if name.endswith("running_var") else change)
        if mask is not None:
            backbone.prune(tensors(mask))
    return backbone


def pruned_copy(backbone: Backbone, mask: Mapping[str, np.ndarray]) -> Backbone:
    pruned = copy.deepcopy(backbone)
    pruned.prune(tensors(mask))
    return pruned


def tensors(mask: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(keep) for name, keep in mask.items()}


def image_of(name: str) -> tuple[int, int, int]:
    return (3, NETWORKS[name][2], NETWORKS[name][2])


def images_for(name: str, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    size = NETWORKS[name][2]
    return torch.randint(256, (count, size, size, 3), generator=generator, dtype=torch.uint8)


def ranked(units: Units, seed: int = 0) -> Ranking:
    """Random scores."""
    draws = np.random.default_rng(seed)
    scores = {name: draws.random(shape) for name, shape in units.shapes.items()}
    return Ranking(scores, units, summed(units, scores))


def channel_mask(units: Units, sparsity: float, **settings: object) -> dict[str, np.ndarray]:
    return channels(ranked(units), sparsity, **settings)
