"""The loss increase when each weight goes and the rest of its block may make up for it."""

from __future__ import annotations

from functools import partial

import numpy as np
from torch import Tensor

from prunetransfer.criteria.blockwise import blockwise, resolved_damping
from prunetransfer.criteria.source import Scores, Source
from prunetransfer.curvature.blocks import LayerBlocks
from prunetransfer.curvature.unit_increases import quadratic
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
from prunetransfer.structure.units import Units


def unit_increases(
    source: Source,
    units: Units,
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
) -> list[np.ndarray]:
    """½ w_gᵀ (F + λI) w_g of `quadratic`: the loss increase when a unit goes whole, with F and λ as in `block`.

    The block is the unit, all of which goes: nothing is left in it that could make up, and nothing is inverted or held.
    """
    drawn = source.draw(samples, sampling)
    gradients, images = partial(source.gradients, drawn, loss, matrix, draws), len(drawn.labels)
    damping = resolved_damping(source, gradients, images, relative, damping)
    weights = source.weights()
    return quadratic(units, weights, gradients(weights), images, damping)


@score(sees="labels", units=unit_increases)
def block(
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
    """½ w_j² / [(F_b + λI)⁻¹]_jj: the loss increase when each weight goes and the rest of its block may make up for it.

    F_b is the block of `diagonal`'s F that has w_j, of B consecutive weights of one layer. Optimal Brain Surgeon
    (Hassibi, Stork 1992) in blocks (WoodFisher, Singh & Alistarh 2020, without its sequential updates; oBERT, Kurtic
    et al. 2022). Raises ValueError, naming the layer, where λ is too small for floating point.
    """
    drawn = source.draw(samples, sampling)
    gradients = partial(source.gradients, drawn, loss, matrix, draws)
    return blockwise(source, _increases, gradients, len(drawn.labels), relative, damping, block_size, memory_budget)


def _increases(blocks: LayerBlocks, w: Tensor, images: int, damping: float) -> Tensor:
    return 0.5 * w.square() / blocks.inverse_diagonal(images, damping)
