"""Multi-head attention whose projections are layers; PyTorch's keeps those of q, k and v in one raw parameter."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """What `nn.MultiheadAttention` computes, with `q`, `k`, `v` and `out_proj` as `nn.Linear`.

    So everything that knows linear layers knows these. They read batches first, whatever `batch_first` says, so that
    rows lie image by image. Raises ValueError for a module with `add_bias_kv` or `add_zero_attn`.
    """

    # nn.TransformerEncoderLayer asks for it: without it the fused path, which bypasses layers, is off.
    in_proj_bias = None

    def __init__(self, source: nn.MultiheadAttention):
        super().__init__()
        if not rewritable(source):
            raise ValueError("attention with add_bias_kv or add_zero_attn has no equal of plain layers")
        self.embed_dim, self.num_heads, self.dropout = source.embed_dim, source.num_heads, source.dropout
        self.batch_first = source.batch_first
        weights = (
            (source.q_proj_weight, source.k_proj_weight, source.v_proj_weight)
            if source.in_proj_weight is None
            else source.in_proj_weight.chunk(3)
        )
        biases = (None, None, None) if source.in_proj_bias is None else source.in_proj_bias.chunk(3)
        self.q, self.k, self.v = (_linear(*tensors) for tensors in zip(weights, biases, strict=True))
        self.out_proj = _linear(source.out_proj.weight, source.out_proj.bias)
        self.train(source.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Outputs and, where asked for, attention weights; arguments and shapes are those of the module replaced."""
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        batched = query.dim() == 3
        first = self._batch_first if batched else lambda x: x[None]
        q, k, v = (
            layer(first(x)).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for layer, x in ((self.q, query), (self.k, key), (self.v, value))
        )
        mask = _merged(attn_mask, key_padding_mask, q)
        dropout = self.dropout if self.training else 0.0
        if need_weights:
            scores = q @ k.mT / q.shape[-1] ** 0.5
            shares = F.dropout((scores if mask is None else scores + mask).softmax(-1), dropout)
            heads = shares @ v
        else:
            shares, heads = None, F.scaled_dot_product_attention(q, k, v, mask, dropout)
        output = self.out_proj(heads.transpose(1, 2).flatten(2))
        if need_weights and average_attn_weights:
            shares = shares.mean(1)
        if not batched:
            return output[0], None if shares is None else shares[0]
        return self._batch_first(output), shares

    def _batch_first(self, x: Tensor) -> Tensor:
        """From the caller's order of axes to batches first, and back."""
        return x if self.batch_first else x.transpose(0, 1)


def rewritable(module: nn.Module) -> bool:
    """Whether `Attention` can stand for this module: PyTorch's own attention, no subclass of it."""
    return type(module) is nn.MultiheadAttention and module.bias_k is None and not module.add_zero_attn


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone(), weight.requires_grad)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone(), bias.requires_grad)
    return layer


def _merged(attn_mask: Tensor | None, key_padding_mask: Tensor | None, q: Tensor) -> Tensor | None:
    """Both masks as one to be added to the scores [n, heads, queries, keys]; q: [n, heads, queries, d]."""
    added = []
    if attn_mask is not None:
        # [queries, keys], or one such for each image and head
        added.append(attn_mask if attn_mask.dim() == 2 else attn_mask.unflatten(0, q.shape[:2]))
    if key_padding_mask is not None:
        added.append(key_padding_mask.reshape(len(q), 1, 1, -1))
    return sum(_additive(mask, q) for mask in added) if added else None


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, -torch.inf)
