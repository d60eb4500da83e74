"""The dense and the pruned backbone on the same images, side by side, layer by layer in the order that they run in.

Each takes the images in chunks. The forward pass of a chunk runs in a thread of its own, which waits before each layer
for all others, and only one thread runs at a time. So one forward pass is enough, whatever the network, and what is
held of all images is what the network itself needs of them at one layer.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from prunetransfer.layers.rules import ProductUse
from prunetransfer.layers.watch import Watch
from prunetransfer.models.backbones import Backbone

# Is given a layer's name, its use and its function, ready to be called; returns what the layer writes.
LayerCall = Callable[[str, ProductUse, Callable[[], Tensor]], Tensor]

# Of the images of a chunk: 32 of 224 × 224. Not by the memory at hand, on which results must not depend.
CHUNK_PIXELS = 32 * 224**2


@dataclass(frozen=True)
class Part:
    """A prunable layer of the pruned backbone on a chunk of the images, as this backbone gives them to it.

    use: its input, weight and bias; expected: computes what the dense layer writes in the dense backbone; forward: what
    this one writes with the weight and the bias that it has when it is called.
    """

    use: ProductUse
    expected: Callable[[], Tensor]
    forward: Callable[[], Tensor]


@dataclass(frozen=True)
class Layer:
    """A prunable layer on all images; its weight and bias are those of the pruned backbone."""

    name: str
    parts: Sequence[Part]

    @property
    def use(self) -> ProductUse:
        return self.parts[0].use


@torch.no_grad()
def walk(dense: Backbone, pruned: Backbone, images: Tensor, visit: Callable[[Layer], None]) -> None:
    """Call `visit` at each prunable layer in forward order; what it changes in place holds from that layer on.

    images: [n, …], as the backbones read them. A weight that several layers share is visited at the first of them; one
    that enters no function of `RULES` is left as it is, with a warning that names it.
    """
    chunks = images.split(max(1, 3 * CHUNK_PIXELS // images[0].numel()))
    passes = [(_Pass(dense, chunk), _Pass(pruned, chunk)) for chunk in chunks]
    seen: set[str] = set()

    def visit_next() -> bool:
        layers = [(of_dense.next_layer(), of_pruned.next_layer()) for of_dense, of_pruned in passes]
        if layers[0][1] is None:
            return False
        names = {layer[0] if layer else "its end" for both in layers for layer in both}
        assert len(names) == 1, f"the dense and the pruned backbone are at different layers: {', '.join(names)}"
        seen.update(names)
        visit(Layer(*names, [Part(use, expected, forward) for (_, _, expected), (_, use, forward) in layers]))
        return True

    try:
        with tqdm(total=len(pruned.prunable()), desc="layers", unit=" layers", disable=None, leave=False) as bar:
            while visit_next():
                bar.update()
    finally:
        for both in passes:
            for one in both:
                one.end()
    if missed := pruned.prunable().keys() - seen:
        warnings.warn(f"left as they are, as no rule fits how they are used: {', '.join(sorted(missed))}", stacklevel=2)


class _Over(Exception):
    """Nobody waits for this pass any more."""


class _Pass:
    """A forward pass in a thread that waits before its first step and before each prunable layer."""

    def __init__(self, backbone: Backbone, images: Tensor):
        self.layers: SimpleQueue[tuple[str, ProductUse, Callable[[], Tensor]] | Exception | None] = SimpleQueue()
        self.proceed: SimpleQueue[bool] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, args=(backbone, images), daemon=True)
        self.thread.start()

    def next_layer(self) -> tuple[str, ProductUse, Callable[[], Tensor]] | None:
        """Run on to the next layer: its name, use and function; None at the end."""
        self.proceed.put(True)
        layer = self.layers.get()
        if isinstance(layer, Exception):
            raise layer
        return layer

    def end(self) -> None:
        self.proceed.put(False)
        self.thread.join()

    def _run(self, backbone: Backbone, images: Tensor) -> None:
        try:
            self._wait()
            with torch.no_grad():
                run(backbone, images, self._stop)
            self.layers.put(None)
        except _Over:
            pass
        except Exception as error:
            self.layers.put(error)

    def _stop(self, name: str, use: ProductUse, forward: Callable[[], Tensor]) -> Tensor:
        self.layers.put((name, use, forward))
        self._wait()
        return forward()

    def _wait(self) -> None:
        if not self.proceed.get():
            raise _Over


def run(backbone: Backbone, images: Tensor, call: LayerCall) -> None:
    """One forward pass in which `call` stands for each prunable layer's own function, the first time it is called."""
    seen: set[str] = set()

    def first(name: str, use: ProductUse | None, forward: Callable[[], Any]) -> Any:
        if use is None or name in seen:
            return forward()
        seen.add(name)
        return call(name, use, forward)

    backbone.eval()
    with Watch(backbone.prunable(), first):
        backbone(images.to(backbone.device))
