"""Let the kept weights of each block take over from the pruned ones what block curvature says they can."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated

import torch
from pydantic import Field

from prunetransfer.curvature.blocks import NotPositiveDefinite
from prunetransfer.curvature.grad_outputs import grad_outputs
from prunetransfer.curvature.gradients import LayerGradient, layer_gradients
from prunetransfer.curvature.passes import layer_blocks
from prunetransfer.datasets.splits import draw_images
from prunetransfer.recovery.case import Case
from prunetransfer.runtime.devices import spare_memory
from prunetransfer.settings.registry import recovery
from prunetransfer.settings.types import BlockSize, Loss, Positive, Samples, Sampling


@recovery(labels=True)
def compensate(
    case: Case,
    *,
    loss: Loss = "squared",
    samples: Samples = 256,
    sampling: Sampling = "balanced",
    block_size: BlockSize = 64,
    damping: Annotated[Positive, Field(description="λ, added to the diagonal of each block.")] = 1e-4,
) -> None:
    """The kept weights of each block take over from the pruned ones what the block curvature says (Optimal Brain
    Surgeon).

    w_K += H_KK⁻¹ H_KP w_P in each block, K the kept weights, P the pruned ones with their dense values w_P.
    H = F_b + λI, F_b the empirical Fisher of a block of the dense backbone on `samples` images of the case, drawn with
    its seed by `sampling`; λ is `damping`. The joint update of Optimal Brain Surgeon (Hassibi, Stork 1992). Raises
    ValueError, naming the layer, where H is not positive definite in floating point.
    """
    dense, backbone, mask = case.dense, case.backbone, case.mask
    drawn, _ = draw_images(case.train, samples, sampling, case.seed)
    empirical = grad_outputs("empirical", loss, None, case.seed)

    def gradients(names: Collection[str]) -> Iterable[Mapping[str, LayerGradient]]:
        return layer_gradients(dense, case.head, drawn.images, drawn.labels, empirical, names)

    weights, pruned = dense.prunable(), backbone.prunable()
    for name, blocks in layer_blocks(gradients, weights, block_size, spare_memory(backbone.device)):
        try:
            change = blocks.taken_over(
                len(drawn.labels), damping, weights[name].detach().flatten(), mask[name].flatten()
            )
        except NotPositiveDefinite as error:
            raise ValueError(f"block curvature of {name}: {error}") from None
        update = change.new_zeros(weights[name].numel())
        update[blocks.weights] = change
        with torch.no_grad():
            pruned[name].add_(update.view_as(weights[name]))
