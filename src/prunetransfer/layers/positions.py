"""What a layer reads, and what the dense one writes, at some positions of each image."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from prunetransfer.layers.lockstep import Layer
from prunetransfer.layers.rules import parts


def draw_positions(layer: Layer, most: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """For every few images: a_t [groups, T, c], which the layer reads, and y_t [groups, T, o], of the dense layer.

    t runs over at most `most` positions of an image, drawn anew for every few images. The columns c are those of the
    use's `matrices`.
    """
    use = layer.use
    columns = use.matrices(use.weight).shape[-1]
    for chunk in layer.parts:
        inputs, outputs = (x.unflatten(0, (len(x), 1)) for x in (chunk.use.input, chunk.expected()))
        positions = outputs[0].numel() // len(use.weight)
        for part in parts(len(inputs), use.groups * positions * columns, use.weight.device):
            chosen = torch.randperm(positions, generator=generator)[:most].to(use.weight.device)
            a, y = use.factors(inputs[part], outputs[part])
            yield tuple(x[:, :, chosen].movedim(0, 1).flatten(1, 2) for x in (a, y))


def gram_matrix(layer: Layer, most: int, generator: torch.Generator) -> Tensor:
    """Σ_t a_t a_tᵀ [groups, c, c] over the positions of `draw_positions`, float64."""
    columns = layer.use.matrices(layer.use.weight).shape[-1]
    gram = layer.use.weight.new_zeros(layer.use.groups, columns, columns, dtype=torch.float64)
    for a, _ in draw_positions(layer, most, generator):
        gram += a.mT @ a
    return gram
