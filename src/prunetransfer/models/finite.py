"""Features that are NaN or infinite: of how many images, and which layer writes the first of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from prunetransfer.models.backbones import Backbone


def not_finite(backbone: Backbone, images: Tensor, features: Tensor) -> str:
    """What is wrong with the features [n, d] of images uint8 [n, h, w, 3]; empty where every number is finite."""
    wrong = ~features.isfinite().all(1)
    if not wrong.any():
        return ""
    first = int(wrong.to(torch.uint8).argmax())
    layer = _first_layer(backbone, images[first : first + 1])
    told = f": the first layer to write such numbers is {layer}" if layer else ""
    return f"features of {int(wrong.sum())} of {len(wrong)} images are NaN or infinite{told}"


@torch.no_grad()
def _first_layer(backbone: Backbone, image: Tensor) -> str | None:
    """The name and type of the module that is the first to return numbers that are not finite."""
    names = {module: name for name, module in backbone.network.named_modules()}
    found: list[str] = []

    def look(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if not found and any(isinstance(x, Tensor) and not x.isfinite().all() for x in tree_leaves(output)):
            found.append(f"{names[module] or 'the network itself'} ({type(module).__name__})")

    hooks = [module.register_forward_hook(look) for module in names]
    try:
        backbone(image.to(backbone.device))
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None
