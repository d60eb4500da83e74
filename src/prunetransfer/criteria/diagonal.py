"""The diagonal of one choice of curvature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from prunetransfer.curvature.grad_outputs import grad_outputs
from prunetransfer.curvature.gradients import LayerGradient, layer_gradients
from prunetransfer.datasets.splits import Split, draw_images
from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone


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
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """F_jj on `samples` images of `train`, drawn with `seed` by `sampling`; and a record of these images.

    matrix: one of `grad_outputs`, with its `draws`.
    """
    drawn, record = draw_images(train, samples, sampling, seed)
    vectors = grad_outputs(matrix, loss, draws, seed)
    gradients = layer_gradients(backbone, head, drawn.images, drawn.labels, vectors)
    return mean_squares(gradients, len(drawn.labels)), record


def mean_squares(gradients: Iterable[Mapping[str, LayerGradient]], images: int) -> dict[str, Tensor]:
    """F_jj = 1/m Σ_i g_ij² over all per-sample gradients g_i of m images; an image may have several."""
    sums: dict[str, Tensor] = {}
    for batch in gradients:
        for name, g in batch.items():
            squares = g.square_sum()
            sums[name] = sums[name].add_(squares) if name in sums else squares
    return {name: total / images for name, total in sums.items()}
