"""Each weight by its size and by the norm of what it multiplies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from prunetransfer.criteria.ranks import shares_below
from prunetransfer.criteria.source import Scores, Source
from prunetransfer.layers.rules import ProductUse, parts, require_rules
from prunetransfer.layers.watch import Watch
from prunetransfer.models.backbones import Backbone
from prunetransfer.settings.registry import score
from prunetransfer.settings.types import Unlabelled

IMAGES_AT_ONCE = 32


@score(sees="images")
def wanda(
    source: Source,
    *,
    per_output: Annotated[
        bool,
        Field(
            description="Whether weights are compared with those of the same output alone, so that every output loses "
            "the same share; otherwise with all weights of the backbone."
        ),
    ] = True,
    samples: Unlabelled = 256,
) -> Scores:
    """|w_ij| ‖x_j‖₂ with x_j the input j of the dense layer over all images and positions: Wanda.

    Sun, Liu, Bair, Kolter 2024, arXiv 2306.11695, equation 1. Compared within each output i as published, the score is
    the place in that order, `shares_below`: a mask at sparsity q prunes round(qn) of the n weights of every output, but
    for one more or less of some outputs where qn is not whole. Inputs of a convolution are those of its patches. Raises
    ValueError, naming it, for a weight that no rule fits.
    """
    norms = input_norms(source.backbone, source.draw(samples).images)
    products = {name: w.abs() * norms[name].to(w.dtype) for name, w in source.weights().items()}
    if not per_output:
        return products
    return {name: shares_below(values.flatten(1)).view(values.shape) for name, values in products.items()}


@torch.no_grad()
def input_norms(backbone: Backbone, images: Tensor) -> dict[str, Tensor]:
    """Name → ‖x_j‖₂ of what each weight multiplies, summed over all its uses; float64, broadcasts with the weight.

    images: uint8 [n, h, w, 3].
    """
    sums: dict[str, Tensor] = {}

    def add(name: str, use: ProductUse | None, forward: Callable[[], Any]) -> Any:
        output = forward()
        if use is not None:
            squares = _square_sums(use, output)
            sums[name] = sums[name] + squares if name in sums else squares
        return output

    weights = backbone.eval().prunable()
    # Not `in_batches`, which repeats a batch that ran out of memory: it would be added twice.
    with Watch(weights, add):
        for part in images.split(IMAGES_AT_ONCE):
            backbone(part.to(backbone.device))
    require_rules(sums, weights)
    return {name: total.sqrt() for name, total in sums.items()}


def _square_sums(use: ProductUse, output: Tensor) -> Tensor:
    """Σ x_j² over images and positions: a row for each output, or one for all where the layer has no groups."""
    inputs, outputs = (x.unflatten(0, (len(x), 1)) for x in (use.input, output))
    columns, positions = use.weight[0].numel(), outputs[0].numel() // len(use.weight)
    total = use.weight.new_zeros(use.groups, 1, columns, dtype=torch.float64)
    for part in parts(len(inputs), use.groups * positions * columns, use.weight.device):
        a, _ = use.factors(inputs[part], outputs[part])
        total += a.square().sum((0, 2), dtype=torch.float64)[:, None]
    a_group = use.shaped(total[None])[0]
    return a_group.repeat_interleave(len(use.weight) // use.groups, 0) if use.groups > 1 else a_group
