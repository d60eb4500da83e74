"""Any module as a backbone that can be pruned, and the pruned backbone as a module like the one that was given."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone
from prunetransfer.models.given import GivenBackbone
from prunetransfer.models.plain import plain
from prunetransfer.models.products import matrices, products
from prunetransfer.models.trial import features_of, settle_layout


@dataclass(frozen=True)
class Model:
    """A module, which stays as it is, and the names of its classifiers: what makes answers of features.

    Classifiers stay dense, and the score sees what they read.
    """

    module: nn.Module
    classifiers: tuple[str, ...] = ()

    @classmethod
    def of(cls, module: nn.Module, classifier: str | None) -> Model:
        """classifier: a submodule's name; None: what timm's `pretrained_cfg` of the module names, if it has one.

        Raises ValueError if the module has no such submodule.
        """
        named = classifier or (getattr(module, "pretrained_cfg", None) or {}).get("classifier") or ()
        names = (named,) if isinstance(named, str) else tuple(named)
        modules = dict(module.named_modules())
        for name in names:
            if name not in modules:
                last = [name for name, child in modules.items() if isinstance(child, nn.Linear)][-3:]
                raise ValueError(
                    f"classifier {name!r}: the model has no submodule of this name; its last linear ones are {last}"
                )
        return cls(module, tuple(name for name in names if not isinstance(modules[name], nn.Identity)))

    def backbone(self, images: Tensor, exclude: Sequence[str], device: torch.device) -> Backbone:
        """A copy of the module without its classifiers, float32, laid out as it computes fastest.

        images: two or so of those that it will read. Raises ValueError for a module of other inputs or outputs, and for
        one without a weight that may be pruned.
        """
        network = copy.deepcopy(self.module).float()
        for name in self.classifiers:
            network.set_submodule(name, nn.Identity())
        backbone = GivenBackbone(plain(network), exclude).eval().to(device)
        images = images[:2].to(device)
        backbone.lay_out(contiguous=True)
        settle_layout(backbone, images, features_of(backbone, images))
        parameters = dict(backbone.network.named_parameters())
        found, _ = products(backbone, parameters, images[:1])
        backbone.matrices = frozenset(matrices(found, parameters))
        if not backbone.prunable():
            raise ValueError("the model has no weight that may be pruned: no matrix of it multiplies activations")
        return backbone

    def head(self) -> Head | None:
        """The classifier, where there is one and it is linear."""
        (name,) = self.classifiers if len(self.classifiers) == 1 else ("",)
        layer = self.module.get_submodule(name)
        if not name or not isinstance(layer, nn.Linear):
            return None
        weight = layer.weight.detach().float()
        bias = torch.zeros(len(weight)) if layer.bias is None else layer.bias.detach().float()
        return Head(weight.T.contiguous(), bias.to(weight.device), None, "own")

    def put_back(self, backbone: Backbone) -> nn.Module:
        """The backbone's network with its classifiers, evaluating, in the types and on the device of the module."""
        backbone.lay_out(contiguous=True)
        network, whole = backbone.network, dict(self.module.named_modules())
        for name in self.classifiers:
            network.set_submodule(name, copy.deepcopy(whole[name]))
        network.to(device_of(self.module)).eval()
        given = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if name in given:
                tensor.data = tensor.data.to(given[name].dtype)
                tensor.requires_grad_(given[name].requires_grad)
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise FloatingPointError(f"{name} holds numbers that are NaN or infinite after pruning")
        return network


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


def data_config(module: nn.Module) -> Mapping[str, Any]:
    """size, mean and std of the images that timm says its module reads; nothing of another module."""
    if "mean" not in (getattr(module, "pretrained_cfg", None) or {}):
        return {}
    from timm.data.model_config import resolve_input_data_config

    config = resolve_input_data_config(module)
    channels, height, width = config["input_size"]
    return {"size": height, "mean": config["mean"], "std": config["std"]} if (channels, height) == (3, width) else {}
