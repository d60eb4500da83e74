"""The blocks along the diagonal of one choice of curvature, inverted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from prunetransfer.criteria.damping import GRID, held_out, least_damaging, pruned_losses
from prunetransfer.curvature.blocks import LayerBlocks, NotPositiveDefinite
from prunetransfer.curvature.grad_outputs import grad_outputs
from prunetransfer.curvature.gradients import LayerGradient, layer_gradients
from prunetransfer.datasets.splits import SAMPLINGS, Split, draw_images
from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone
from prunetransfer.runtime.devices import spare_memory

# All per-sample gradients of the weights of these names, batch by batch; the same ones each time.
Gradients = Callable[[Collection[str]], Iterable[Mapping[str, LayerGradient]]]

# What per-sample gradients of one layer may take while they are added up.
ROWS_BYTES = 2**30


def compute(
    backbone: Backbone,
    head: Head,
    train: Split,
    seed: int,
    *,
    loss: str,
    matrix: str,
    draws: int | None,
    samples: int,
    sampling: str,
    block_size: int,
    damping: float | str,
    damping_relative: bool,
    memory_budget: float | None,
    damping_sparsities: Sequence[float] = (),
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """[(F_b + λI)⁻¹]_jj on `samples` images of `train`, drawn with `seed` by `sampling`; and a record.

    The record holds the images, λ, and the loss at each sparsity for each λ that was tried. matrix: one of
    `grad_outputs`, with its `draws`; damping: λ > 0, times each layer's mean diagonal where `damping_relative`; `auto`
    takes the `least_damaging` one of GRID for the backbone pruned to `damping_sparsities`, on other images of `train`.
    memory_budget: MB that F_b may fill; None: `spare_memory`. Raises ValueError where no λ could be used.
    """
    drawn, record = draw_images(train, samples, sampling, seed)
    budget = spare_memory(backbone.device) if memory_budget is None else int(memory_budget * 1e6)

    def gradients(names: Collection[str]) -> Iterable[Mapping[str, LayerGradient]]:
        vectors = grad_outputs(matrix, loss, draws, seed)
        return layer_gradients(backbone, head, drawn.images, drawn.labels, vectors, names)

    def curvatures(dampings: Sequence[float]) -> dict[float, dict[str, Tensor]]:
        weights = backbone.prunable()
        return inverse_diagonals(gradients, weights, len(drawn.labels), block_size, dampings, damping_relative, budget)

    if damping != "auto":
        return curvatures([damping])[damping], record | {"damping": damping, "damping_tried": {damping: {}}}
    others = held_out(train, SAMPLINGS[sampling](train.labels, samples, seed), seed)
    inverses = curvatures(GRID)
    losses = pruned_losses(backbone, head, others, inverses, loss, damping_sparsities)
    best = least_damaging(losses)
    return inverses[best], record | {"damping": best, "damping_tried": {tried: losses.get(tried, {}) for tried in GRID}}


def inverse_diagonals(
    gradients: Gradients,
    weights: Mapping[str, Tensor],
    images: int,
    block_size: int,
    dampings: Sequence[float],
    relative: bool,
    budget: int,
) -> dict[float, dict[str, Tensor]]:
    """λ → name → [(F_b + λI)⁻¹]_jj, F_b = 1/m Σ_i g_ib g_ibᵀ over blocks of B consecutive weights of one layer.

    images: m; block_size: B; budget: bytes that all F_b held at once may fill. They take 4·p·B for p weights; what is
    more than the budget is left to further passes over the gradients. A λ at which a block is not positive definite in
    floating point is left out; raises ValueError, naming the layer, if none is left.
    Source: WoodFisher (Singh & Alistarh 2020), without its sequential rank-1 updates.
    """
    parts: dict[float, dict[str, list[Tensor]]] = {damping: {name: [] for name in weights} for damping in dampings}
    for name, blocks in layer_blocks(gradients, weights, block_size, relative, budget):
        _append(parts, name, blocks, images)
    return {
        damping: {name: torch.cat(diagonals).view_as(weights[name]) for name, diagonals in layers.items()}
        for damping, layers in parts.items()
    }


def layer_blocks(
    gradients: Gradients, weights: Mapping[str, Tensor], block_size: int, relative: bool, budget: int
) -> Iterator[tuple[str, LayerBlocks]]:
    """All blocks of all weights, of a layer together or, where the budget divides it, part by part in order."""
    for group in groups({name: weight.numel() for name, weight in weights.items()}, block_size, budget):
        layers = {name: LayerBlocks(part, block_size, relative) for name, part in group.items()}
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


def _append(parts: dict[float, dict[str, list[Tensor]]], name: str, blocks: LayerBlocks, images: int) -> None:
    for damping in list(parts):
        try:
            parts[damping][name].append(blocks.inverse_diagonal(images, damping))
        except NotPositiveDefinite as error:
            del parts[damping]
            if not parts:
                raise ValueError(f"block curvature of {name}: {error}") from None


def _accumulate(
    gradients: Iterable[Mapping[str, LayerGradient]], layers: Mapping[str, LayerBlocks], weights: Mapping[str, Tensor]
) -> None:
    for batch in gradients:
        for name, blocks in layers.items():
            at_once = max(1, ROWS_BYTES // weights[name].nbytes)
            for start in range(0, batch[name].images, at_once):
                blocks.add(batch[name].materialise(slice(start, start + at_once)).flatten(1))
