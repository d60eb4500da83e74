"""Let the kept weights of each block take over from the pruned ones what block curvature says they can."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor

from prunetransfer.criteria.block import layer_blocks
from prunetransfer.curvature.blocks import NotPositiveDefinite
from prunetransfer.curvature.grad_outputs import grad_outputs
from prunetransfer.curvature.gradients import LayerGradient, layer_gradients
from prunetransfer.datasets.splits import Split, draw_images
from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone
from prunetransfer.runtime.devices import spare_memory


def recover(
    backbone: Backbone,
    dense: Backbone,
    mask: Mapping[str, Tensor],
    head: Head,
    train: Split,
    seed: int,
    *,
    loss: str,
    samples: int,
    sampling: str,
    block_size: int,
    damping: float,
) -> None:
    """w_K += H_KK⁻¹ H_KP w_P in each block, K the kept weights, P the pruned ones with their dense values w_P.

    H = F_b + λI, F_b the empirical Fisher of a block of the dense backbone on `samples` images of `train`, drawn with
    `seed` by `sampling`; λ is `damping`. The joint update of Optimal Brain Surgeon (Hassibi, Stork 1992). Raises
    ValueError, naming the layer, where H is not positive definite in floating point.
    """
    drawn, _ = draw_images(train, samples, sampling, seed)
    empirical = grad_outputs("empirical", loss, None, seed)

    def gradients(names: Collection[str]) -> Iterable[Mapping[str, LayerGradient]]:
        return layer_gradients(dense, head, drawn.images, drawn.labels, empirical, names)

    weights, pruned = dense.prunable(), backbone.prunable()
    for name, blocks in layer_blocks(gradients, weights, block_size, False, spare_memory(backbone.device)):
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
