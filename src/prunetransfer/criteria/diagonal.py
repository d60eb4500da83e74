"""The diagonal of one choice of curvature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from prunetransfer.curvature.grad_outputs import grad_outputs
from prunetransfer.curvature.gradients import LayerGradient, layer_gradients
from prunetransfer.curvature.hutchinson import DRAWS, hessian_diagonal
from prunetransfer.datasets.splits import Split, draw_images
from prunetransfer.heads import Head
from prunetransfer.heads.losses import LOSSES
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

    matrix: one of `grad_outputs`, with its `draws`; or `hessian`, the estimate of the Hessian's diagonal
    from `draws` probes (default 16). A score is at least 0, so estimates below it count as 0; the record has their
    share.
    """
    drawn, record = draw_images(train, samples, sampling, seed)
    if matrix == "hessian":
        probes = DRAWS if draws is None else draws
        found = hessian_diagonal(backbone, head, drawn.images, drawn.labels, LOSSES[loss], probes, seed)
        negative = sum(int((values < 0).sum()) for values in found.values())
        share = negative / sum(values.numel() for values in found.values())
        return {name: values.clamp(min=0) for name, values in found.items()}, record | {"negative": share}
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
