"""One architecture with several pre-trainings, against each other, without recovery."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import (
    BACKBONE,
    CONFIDENCE,
    MASK,
    OF_ROLE,
    P_HOLM,
    READOUT,
    SCORE,
    STUDY,
    key,
    value,
)

GROUP = key("group", pa.string(), "architecture that the backbones have in common, with its options")
PRETRAINING = value("pretraining", pa.string(), "label of the pre-training that gave the backbone its weights")
OVER = key(
    "sparsity",
    pa.float64(),
    "share of the prunable weights asked to go; null: the mean over all tried",
    "fraction",
    nullable=True,
)
CASES = value("cases", pa.int64(), "(source, target, seed, sparsity) cells that all backbones of the group have")

PRETRAININGS = pa.schema(
    [
        STUDY,
        GROUP,
        BACKBONE,
        PRETRAINING,
        SCORE,
        READOUT,
        OF_ROLE,
        MASK,
        OVER,
        CASES,
        value("dense_top1", pa.float64(), "mean accuracy of the dense backbone on the same cells", "fraction"),
        value("retention", pa.float64(), "mean retention", "ratio"),
        value("low", pa.float64(), "lower end of its paired interval", "ratio"),
        value("high", pa.float64(), "upper end of its paired interval", "ratio"),
        CONFIDENCE,
    ]
)

PRETRAINING_COMPARISONS = pa.schema(
    [
        STUDY,
        GROUP,
        BACKBONE,
        PRETRAINING,
        key("other_backbone", pa.string(), "the backbone that it is compared with"),
        value("other_pretraining", pa.string(), "its pre-training"),
        SCORE,
        READOUT,
        OF_ROLE,
        MASK,
        OVER,
        CASES,
        value("difference", pa.float64(), "mean retention of backbone minus that of other_backbone", "ratio"),
        value("low", pa.float64(), "lower end of its paired interval", "ratio"),
        value("high", pa.float64(), "upper end of its paired interval", "ratio"),
        CONFIDENCE,
        value("p_value", pa.float64(), "test of no difference, two-sided"),
        P_HOLM,
        value("verdict", pa.string(), "`higher`, `lower`, or `equal` where no difference was shown"),
    ]
)
