"""The dense and the pruned backbone on the same images, side by side, layer by layer in the order that they run in.

Each runs in a thread of its own, and one of the two waits: so one forward pass of each is enough, whatever the network.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from prunetransfer.backbones import Backbone
from prunetransfer.curvature.layers import RULES, ProductUse

# Is given a layer's name, its use and its function, ready to be called; returns what the layer writes.
Call = Callable[[str, ProductUse, Callable[[], Tensor]], Tensor]


@dataclass(frozen=True)
class Layer:
    """A prunable layer of the pruned backbone, on the input that this backbone gives it.

    use: its input, weight and bias; expected: what the dense layer writes on the dense backbone; forward: what this
    one writes with the weight and the bias that it has when it is called.
    """

    name: str
    use: ProductUse
    expected: Tensor
    forward: Callable[[], Tensor]


@torch.no_grad()
def walk(dense: Backbone, pruned: Backbone, images: Tensor, visit: Callable[[Layer], None]) -> None:
    """Call `visit` at each prunable layer in forward order; what it changes in place holds from that layer on.

    images: uint8 [n, h, w, 3], all at once. A weight that several layers share is visited at the first of them; one
    that enters no function of `RULES` is left as it is, with a warning that names it.
    """
    written: SimpleQueue[Any] = SimpleQueue()
    proceed: SimpleQueue[bool] = SimpleQueue()

    def show(name: str, use: ProductUse, forward: Callable[[], Tensor]) -> Tensor:
        output = forward()
        written.put((name, output))
        if not proceed.get():
            raise _Over
        return output

    def compare(name: str, use: ProductUse, forward: Callable[[], Tensor]) -> Tensor:
        shown = written.get()
        if isinstance(shown, Exception):
            raise shown
        assert shown[0] == name, f"the dense backbone is at {shown[0]}, the pruned one at {name}"
        visit(Layer(name, use, shown[1], forward))
        proceed.put(True)
        return forward()

    def run_dense() -> None:
        try:
            with torch.no_grad():
                run(dense, images, show)
        except _Over:
            pass
        except Exception as error:
            written.put(error)

    thread = threading.Thread(target=run_dense, daemon=True)
    thread.start()
    try:
        seen = run(pruned, images, compare)
    finally:
        proceed.put(False)
        thread.join()
    if missed := pruned.prunable().keys() - seen:
        warnings.warn(f"left as they are, as no rule fits how they are used: {', '.join(sorted(missed))}", stacklevel=2)


class _Over(Exception):
    """The other backbone has gone."""


class _Watch(TorchFunctionMode):
    """Gives each prunable layer to `call` when it is first called; keeps the names of those it gave."""

    def __init__(self, backbone: Backbone, call: Call):
        super().__init__()
        self.names = {id(weight): name for name, weight in backbone.prunable().items()}
        self.call, self.seen = call, set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in RULES:
            use = RULES[function](*args, **kwargs)
            name = self.names.get(id(use.weight))
            if name is not None and name not in self.seen:
                self.seen.add(name)
                return self.call(name, use, lambda: function(*args, **kwargs))
        return function(*args, **kwargs)


def run(backbone: Backbone, images: Tensor, call: Call) -> set[str]:
    """One forward pass in which `call` stands for each prunable layer's own function; returns the layers' names."""
    backbone.eval()
    with _Watch(backbone, call) as watch:
        backbone(images.to(backbone.device))
    return watch.seen
