"""The loss increase of each weight as the least important go one after another and the rest makes up for them."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from prunetransfer.criteria.blockwise import blockwise
from prunetransfer.criteria.source import Scores, Source
from prunetransfer.curvature.blocks import LayerBlocks
from prunetransfer.settings.registry import score
from prunetransfer.settings.types import (
    BlockMemory,
    BlockSize,
    Damping,
    LabelDraws,
    Loss,
    Matrix,
    RelativeUnlessGiven,
    Samples,
    Sampling,
)


@score(sees="labels")
def correlated(
    source: Source,
    *,
    relative: RelativeUnlessGiven = 3.0,
    damping: Damping = None,
    block_size: BlockSize = 64,
    memory_budget: BlockMemory = None,
    loss: Loss = "squared",
    matrix: Matrix = "empirical",
    draws: LabelDraws = None,
    samples: Samples = 256,
    sampling: Sampling = "balanced",
) -> Scores:
    """The loss increase when a weight goes after all less important ones of its block went, and the rest made up.

    In each block, of H = F_b + λI with F_b as in `block`, the weight of least ρ_j = ½ w_j² / [H⁻¹]_jj goes, the others
    move by −w_j / [H⁻¹]_jj · H⁻¹_·j, H is restricted to them, and so on until none is left. So of two weights that do
    the same, one is dear once the other has gone. A weight's score is the largest ρ of the removals up to its own: a
    mask takes a block's weights in the order of the removals. CAP (Kuznedelev et al. 2023, arXiv 2210.09223), which
    is Optimal Brain Surgeon (Hassibi, Stork 1992) step by step. Raises ValueError, naming the layer, where λ is too
    small for floating point.
    """
    drawn = source.draw(samples, sampling)
    gradients = partial(source.gradients, drawn, loss, matrix, draws)
    return blockwise(source, _removal_costs, gradients, len(drawn.labels), relative, damping, block_size, memory_budget)


def _removal_costs(blocks: LayerBlocks, w: Tensor, images: int, damping: float) -> Tensor:
    return blocks.removal_costs(images, damping, w)
