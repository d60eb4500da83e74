"""The loss increase when each weight goes and the rest of its block may make up for it."""

from __future__ import annotations

from prunetransfer.criteria.source import Scores, Source
from prunetransfer.curvature.diagonal import damping_of, mean_squares
from prunetransfer.curvature.passes import of_blocks
from prunetransfer.runtime.devices import spare_memory
from prunetransfer.settings.registry import score
from prunetransfer.settings.types import (
    BlockMemory,
    BlockSize,
    Damping,
    LabelDraws,
    Loss,
    Matrix,
    Relative,
    Samples,
    Sampling,
)


@score(sees="labels")
def block(
    source: Source,
    *,
    relative: Relative = 1.0,
    damping: Damping = None,
    block_size: BlockSize = 64,
    memory_budget: BlockMemory = None,
    loss: Loss = "squared",
    matrix: Matrix = "empirical",
    draws: LabelDraws = None,
    samples: Samples = 256,
    sampling: Sampling = "balanced",
) -> Scores:
    """½ w_j² / [(F_b + λI)⁻¹]_jj: the loss increase when each weight goes and the rest of its block may make up for it.

    F_b is the block of `diagonal`'s F that has w_j, of B consecutive weights of one layer. Optimal Brain Surgeon
    (Hassibi, Stork 1992) in blocks (WoodFisher, Singh & Alistarh 2020, without its sequential updates; oBERT, Kurtic
    et al. 2022). Raises ValueError, naming the layer, where λ is too small for floating point.
    """
    drawn, weights = source.draw(samples, sampling), source.weights()
    images = len(drawn.labels)

    def gradients(names):
        return source.gradients(drawn, loss, matrix, draws, names=names)

    if damping is None:
        damping = damping_of(mean_squares(gradients(None), images), relative)
    source.record["damping"] = damping
    budget = spare_memory(source.backbone.device) if memory_budget is None else int(memory_budget * 1e6)
    inverse = of_blocks(gradients, weights, block_size, budget, lambda b: b.inverse_diagonal(images, damping))
    return {name: 0.5 * w.square() / inverse[name] for name, w in weights.items()}
