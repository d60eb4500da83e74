"""What the scores share that are computed block by block: their damping and their memory."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from prunetransfer.criteria.source import Scores, Source
from prunetransfer.curvature.blocks import LayerBlocks
from prunetransfer.curvature.diagonal import damping_of, mean_squares
from prunetransfer.curvature.passes import Gradients, of_blocks
from prunetransfer.runtime.devices import spare_memory


def blockwise(
    source: Source,
    score: Callable[[LayerBlocks, Tensor, int, float], Tensor],
    gradients: Gradients,
    images: int,
    relative: float,
    damping: float | None,
    block_size: int,
    memory_budget: float | None,
) -> Scores:
    """What `score` makes of some blocks of a layer, their weights [p], the number of images m, and λ: [p].

    gradients: the per-sample gradients of m images. λ is that of `resolved_damping`.
    """
    damping = resolved_damping(source, gradients, images, relative, damping)
    budget = spare_memory(source.backbone.device) if memory_budget is None else int(memory_budget * 1e6)
    weights = source.weights()
    return of_blocks(gradients, weights, block_size, budget, lambda blocks, w: score(blocks, w, images, damping))


def resolved_damping(
    source: Source, gradients: Gradients, images: int, relative: float, damping: float | None
) -> float:
    """λ: `damping` or, where that is None, that of `damping_of`; the record says which it came to."""
    if damping is None:
        damping = damping_of(mean_squares(gradients(source.weights()), images), relative)
    source.record["damping"] = damping
    return damping
