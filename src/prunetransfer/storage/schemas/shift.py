"""What pruning does under shift."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import (
    BACKBONE,
    CONFIDENCE,
    MASK,
    METHOD,
    OF_ROLE,
    P_HOLM,
    READOUT,
    RECOVERY,
    SCORE,
    SPARSITY,
    STUDY,
    key,
    value,
)

SHIFT = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        RECOVERY,
        METHOD,
        READOUT,
        MASK,
        SPARSITY,
        key("condition", pa.string(), "what a view does to the test images: `gaussian_noise 3`, `resolution 16`"),
        value("severity", pa.float64(), "severity of the corruption; null of another condition", nullable=True),
        OF_ROLE,
        key(
            "source",
            pa.string(),
            "dataset that the mask or the recovery used; null in a mean, and where the study has none",
            nullable=True,
        ),
        key(
            "target",
            pa.string(),
            "the clean target, with the same test images; null: the mean over all pairs of the role",
            nullable=True,
        ),
        key("shifted_target", pa.string(), "the target under the condition; null in a mean", nullable=True),
        value("cases", pa.int64(), "(source, target, seed) triples that the means run over"),
        value("dense_top1", pa.float64(), "mean accuracy of the dense backbone on the clean targets", "fraction"),
        value("shifted_dense_top1", pa.float64(), "the same under the condition", "fraction"),
        value("top1", pa.float64(), "mean accuracy of the pruned backbone on the clean targets", "fraction"),
        value("shifted_top1", pa.float64(), "the same under the condition", "fraction"),
        value("retention", pa.float64(), "mean retention on the clean targets", "ratio"),
        value("shifted_retention", pa.float64(), "the same under the condition", "ratio"),
        value("change", pa.float64(), "shifted_retention - retention", "ratio"),
        value("low", pa.float64(), "lower end of the paired interval of change", "ratio"),
        value("high", pa.float64(), "upper end of it", "ratio"),
        CONFIDENCE,
        value("p_value", pa.float64(), "test of no change, two-sided"),
        P_HOLM,
        value("verdict", pa.string(), "`higher`, `lower`, or `equal` where no change was shown"),
    ]
)
