"""What scores and masks are like."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import (
    BACKBONE,
    MASK,
    OF_MASK,
    SCORE,
    SEED,
    SPARSITY,
    STUDY,
    key,
    value,
)

LAYER_SPARSITY = pa.schema(
    [
        *OF_MASK,
        SEED,
        key("layer", pa.string(), "name of the prunable weight"),
        value("depth", pa.int64(), "place of the layer in forward order, from 0"),
        value("weights", pa.int64(), "weights of the layer", "weights"),
        value("pruned", pa.int64(), "weights of the layer that are pruned", "weights"),
        value("layer_sparsity", pa.float64(), "pruned / weights", "fraction"),
    ]
)

PARAMETERS = pa.schema(
    [
        STUDY,
        BACKBONE,
        key("parameter", pa.string(), "name of the parameter in the backbone, its weights plain"),
        value("depth", pa.int64(), "place of the parameter in the order of definition, from 0"),
        value("numbers", pa.int64(), "numbers that it holds", "numbers"),
        value("prunable", pa.bool_(), "whether masks may prune it"),
        value(
            "left_out",
            pa.string(),
            "why it is not prunable: `no feature depends on it`, `no matrix of a linear layer, convolution or "
            "product`, or `excluded` by the config; null where it is",
            nullable=True,
        ),
    ]
)

CONVERGENCE = pa.schema(
    [
        *OF_MASK,
        SEED,
        value("samples", pa.int64(), "images that the score saw", "images"),
        value("reference_samples", pa.int64(), "images that the reference saw, the score with most", "images"),
        value("rank_correlation", pa.float64(), "Spearman correlation of the two scores over all weights"),
        value("overlap", pa.float64(), "share of what the reference keeps that this mask keeps", "fraction"),
    ]
)

MASK_OVERLAP = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        MASK,
        SPARSITY,
        key("between", pa.string(), "`sources`: two sources, one seed; `draws`: one source, two seeds"),
        key("prune_source", pa.string(), "dataset that the first mask was computed on"),
        key("other_source", pa.string(), "dataset that the second mask was computed on"),
        SEED,
        key("other_seed", pa.int64(), "seed of the second mask"),
        value("overlap", pa.float64(), "share of the weights kept by one mask that the other keeps", "fraction"),
    ]
)
