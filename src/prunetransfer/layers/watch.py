"""Which functions a forward pass gives a weight to, whatever modules call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from prunetransfer.layers.rules import RULES, ProductUse

# Stands for a call of a function on a weight. Is given the weight's name, how the function uses it (None where no rule
# says that), and the function, ready to be called; returns what the function writes.
Call = Callable[[str, ProductUse | None, Callable[[], Any]], Any]


class Watch(TorchFunctionMode):
    """While it is entered, `call` stands for every function of this thread that is given one of the weights itself.

    weights: name → tensor. A function that is given several is called once, inside a `call` for each of them. What
    becomes of a weight (a view, a multiple) is no weight any more: the function that makes it has no rule, so `call`
    hears of the weight, with None.
    """

    def __init__(self, weights: Mapping[str, Tensor], call: Call):
        super().__init__()
        self.names = {id(weight): name for name, weight in weights.items()}
        self.call = call

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        forward = partial(function, *args, **kwargs)
        weights = {id(x): x for x in tree_leaves((args, kwargs)) if id(x) in self.names}
        if weights:
            use = RULES[function](*args, **kwargs) if function in RULES else None
            for key, weight in weights.items():
                rule = use if use is not None and use.weight is weight else None
                forward = partial(self.call, self.names[key], rule, forward)
        return forward()
