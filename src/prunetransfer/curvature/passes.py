"""The blocks of all weights, in as many passes over the per-sample gradients as the memory at hand asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from prunetransfer.curvature.blocks import LayerBlocks, NotPositiveDefinite
from prunetransfer.curvature.gradients import LayerGradient

# All per-sample gradients of the weights of these names, batch by batch; the same ones each time.
Gradients = Callable[[Collection[str]], Iterable[Mapping[str, LayerGradient]]]

# What per-sample gradients of one layer may take while they are added up.
ROWS_BYTES = 2**30


def of_blocks(
    gradients: Gradients,
    weights: Mapping[str, Tensor],
    block_size: int,
    budget: int,
    number: Callable[[LayerBlocks, Tensor], Tensor],
) -> dict[str, Tensor]:
    """Name → what `number` makes of the blocks of B consecutive weights of one layer and of those weights: as many.

    block_size: B; budget: bytes that all blocks held at once may fill. They take 4·p·B for p weights; what is more than
    the budget is left to further passes over the gradients. Raises ValueError, naming the layer, where F_b + λI is not
    positive definite in floating point.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in weights}
    for name, blocks in layer_blocks(gradients, weights, block_size, budget):
        try:
            parts[name].append(number(blocks, weights[name].flatten()[blocks.weights]))
        except NotPositiveDefinite as error:
            raise ValueError(f"block curvature of {name}: {error}") from None
    return {name: torch.cat(numbers).view_as(weights[name]) for name, numbers in parts.items()}


def layer_blocks(
    gradients: Gradients, weights: Mapping[str, Tensor], block_size: int, budget: int
) -> Iterator[tuple[str, LayerBlocks]]:
    """All blocks of all weights, of a layer together or, where the budget divides it, part by part in order."""
    for group in groups({name: weight.numel() for name, weight in weights.items()}, block_size, budget):
        layers = {name: LayerBlocks(part, block_size) for name, part in group.items()}
        _accumulate(gradients(group), layers, weights)
        yield from layers.items()


def groups(sizes: Mapping[str, int], block_size: int, budget: int) -> list[dict[str, slice]]:
    """The weights of all layers in consecutive groups, as few as keep to the budget in bytes: name → which, a group.

    A layer that passes the border of a group is divided between two blocks. Raises ValueError for a budget below one
    block.
    """
    room = budget // (4 * block_size**2)
    if room < 1:
        need, given = 4e-6 * block_size**2, budget / 1e6
        raise ValueError(f"memory_budget: {given:g} MB hold no block of {block_size} weights; at least {need:g} MB")
    passes: list[dict[str, slice]] = [{}]
    free = room
    for name, size in sizes.items():
        start = 0
        while start < size:
            if free == 0:
                passes.append({})
                free = room
            stop = min(size, start + free * block_size)
            passes[-1][name] = slice(start, stop)
            free -= -(-(stop - start) // block_size)
            start = stop
    return passes


def _accumulate(
    gradients: Iterable[Mapping[str, LayerGradient]], layers: Mapping[str, LayerBlocks], weights: Mapping[str, Tensor]
) -> None:
    for batch in gradients:
        for name, blocks in layers.items():
            at_once = max(1, ROWS_BYTES // weights[name].nbytes)
            for start in range(0, batch[name].images, at_once):
                blocks.add(batch[name].materialise(slice(start, start + at_once)).flatten(1))
