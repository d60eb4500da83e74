"""Places in an order, for scores that are compared among some weights only."""

from __future__ import annotations

import torch
from torch import Tensor


def shares_below(values: Tensor) -> Tensor:
    """(k + ½)/n for the number with k lower ones among the n of its row; values [..., n], in their type.

    Of equal numbers the earlier counts as the lower, as in `global_mask`. The ½ makes one threshold q for all rows take
    round(qn) of each, whatever its n.

    >>> shares_below(torch.tensor([[0.3, 0.1, 0.2, 0.1]]))
    tensor([[0.8750, 0.1250, 0.6250, 0.3750]])
    """
    n = values.shape[-1]
    order = values.argsort(dim=-1, stable=True)
    shares = ((torch.arange(n, dtype=torch.float64, device=values.device) + 0.5) / n).to(values.dtype)
    return torch.empty_like(values).scatter_(-1, order, shares.expand_as(values))
