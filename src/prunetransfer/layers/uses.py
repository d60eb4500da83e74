"""Which functions the prunable weights enter in a forward pass, whatever modules call them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.func import functional_call
from torch.utils._pytree import tree_leaves, tree_map_only

from prunetransfer.heads import Head
from prunetransfer.layers.rules import RULES, Use
from prunetransfer.models.backbones import Backbone


class WeightUses:
    """The uses of one weight that have a rule, with where their outputs' gradients arrive, and if there are others."""

    def __init__(self, weight: Tensor):
        self.weight = weight.detach().requires_grad_()
        self.uses: list[tuple[Use, GradientEdge]] = []
        self.others = False

    def fit(self, images: int) -> bool:
        """Whether the rules say all about this weight on a batch of so many images."""
        return not self.others and all(use.fits(images) for use, _ in self.uses)

    def note(self, function: Callable, args: tuple, kwargs: dict[str, Any], output: Any) -> None:
        """Take down that `function` was called on the weight."""
        if not any(isinstance(x, Tensor) and x.requires_grad for x in tree_leaves(output)):
            return  # a shape, a type, or what no gradient passes
        use = RULES[function](*args, **kwargs) if function in RULES else None
        if use is not None and use.weight is self.weight:
            self.uses.append((use, get_gradient_edge(output)))
        else:
            self.others = True


class _Watched(Tensor):
    """A prunable weight's stand-in, which notes every function it is given to."""

    uses: WeightUses

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        inputs = args, kwargs or {}
        watched = {id(x.uses): x.uses for x in tree_leaves(inputs) if isinstance(x, cls)}
        args, kwargs = tree_map_only(cls, lambda x: x.uses.weight, inputs)
        output = function(*args, **kwargs)
        for uses in watched.values():
            uses.note(function, args, kwargs, output)
        return output


def watched_forward(
    backbone: Backbone, head: Head, images: Tensor, names: Collection[str]
) -> tuple[Tensor, dict[str, WeightUses]]:
    """Outputs [n, classes] with their graph, and name → uses of each prunable weight of these names."""
    found = {name: WeightUses(weight) for name, weight in backbone.prunable().items() if name in names}
    stand_ins = {}
    for name, uses in found.items():
        stand_ins[f"network.{name}"] = uses.weight.as_subclass(_Watched)
        stand_ins[f"network.{name}"].uses = uses
    return head(functional_call(backbone, stand_ins, (images.to(backbone.device),))), found
