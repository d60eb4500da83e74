"""What depends on what in a network, as Torch-Pruning traces it (DepGraph, Fang et al. 2023, arXiv 2301.12900)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_pruning import DependencyGraph
from torch_pruning.dependency import Group

from prunetransfer.models.attention import Attention
from prunetransfer.models.backbones import Backbone

IMAGES = 2  # of one image some networks drop the axis


def noise(backbone: Backbone, image: Collection[int]) -> Tensor:
    """Images of noise as the network is given them, [IMAGES, 3, h, w], the same each time."""
    return torch.randn((IMAGES, *image), generator=torch.Generator().manual_seed(0)).to(backbone.mean)


def dependency_graph(backbone: Backbone, image: Collection[int]) -> DependencyGraph:
    """The graph of a backbone in evaluation mode. All its parameters must require gradients: these are followed.

    image: the shape of an image as the network is given it, [3, h, w]. Raises ValueError for an architecture that
    Torch-Pruning cannot follow.
    """
    network, images = backbone.network.eval(), noise(backbone, image)
    try:
        with torch.enable_grad():
            return DependencyGraph().build_dependency(
                network,
                images,
                # The graph has a node for the output only where no layer has written it.
                output_transform=lambda features: features * 1,
                verbose=False,
            )
    except Exception as error:  # whatever its rules for views, splits and joins do to an architecture they do not fit
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"Torch-Pruning cannot follow what depends on what in this architecture ({what})") from error


def group_of(graph: DependencyGraph, layer: nn.Module, rows: Collection[int]) -> Group:
    """All that goes with these output channels of a layer."""
    return graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, list(rows))


@dataclass(frozen=True)
class Heads:
    """An attention module with the layers that write its queries, keys and values, `parts` of these each, and the
    width of a head."""

    module: nn.Module
    layers: tuple[nn.Linear, ...]
    parts: int
    width: int

    def recount(self) -> None:
        """Let the module know how many heads its layers have now."""
        rows = self.layers[0].out_features // self.parts
        self.module.num_heads = rows // self.width
        if hasattr(self.module, "attn_dim"):
            self.module.attn_dim = rows


def attentions(network: nn.Module) -> list[Heads]:
    """The attention modules whose heads can go: this study's own, and those of timm's form, with one layer `qkv`."""
    found = []
    for module in network.modules():
        if isinstance(module, Attention):
            layers, parts = (module.q, module.k, module.v), 1
        elif isinstance(getattr(module, "qkv", None), nn.Linear) and isinstance(getattr(module, "num_heads", 0), int):
            layers, parts = (module.qkv,), 3
        else:
            continue
        found.append(Heads(module, layers, parts, layers[0].out_features // (parts * module.num_heads)))
    return found
