"""What follows from the accuracies, with how sure it is."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import (
    BACKBONE,
    CONFIDENCE,
    MASK,
    METHOD,
    OF_MEASUREMENT,
    OF_ROLE,
    P_HOLM,
    READOUT,
    RECOVERY,
    ROLE,
    SCORE,
    SEED,
    SPARSITY,
    STUDY,
    key,
    value,
    without,
)

VERDICTS = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        MASK,
        READOUT,
        key("prediction", pa.string(), "prediction of the paper that the row judges: `P1` or `P2`"),
        key("recovery", pa.string(), "P1: `none`, or `steps`; P2: the entry of `recoveries` that fine-tunes"),
        METHOD,
        OF_ROLE,
        value("verdict", pa.string(), "P1: `holds`, `partly`, `fails`; P2: `improved`, `mixed`, `harmed`"),
        value("cases", pa.int64(), "P1: (source, target, seed) triples in each mean; P2: pairs compared"),
        value("tolerance", pa.float64(), "P1: τ, the loss of retention that counts as none", "ratio", nullable=True),
        value(
            "sustained_sparsity",
            pa.float64(),
            "P1: largest tried sparsity up to which mean retention is at least 1 - τ at every one; 0 if there is none",
            "fraction",
            nullable=True,
        ),
        value(
            "assured_sparsity",
            pa.float64(),
            "P1: the same of the lower end of the interval of mean retention",
            "fraction",
            nullable=True,
        ),
        CONFIDENCE,
        value("change", pa.float64(), "P2: mean of top1 after fine-tuning minus before", "fraction", nullable=True),
        value("low", pa.float64(), "P2: lower end of the interval of change", "fraction", nullable=True),
        value("high", pa.float64(), "P2: upper end of the interval of change", "fraction", nullable=True),
        value("fell", pa.int64(), "P2: pairs whose top1 fell", nullable=True),
    ]
)

RETENTION = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        RECOVERY,
        METHOD,
        READOUT,
        OF_ROLE,
        MASK,
        SPARSITY,
        value("cases", pa.int64(), "(source, target, seed) triples that the mean runs over"),
        value("retention", pa.float64(), "mean retention", "ratio"),
        value("low", pa.float64(), "lower end of its paired interval", "ratio"),
        value("high", pa.float64(), "upper end of its paired interval", "ratio"),
        CONFIDENCE,
    ]
)

INTERVALS = pa.schema(
    [
        *without(OF_MEASUREMENT, "seed"),
        value("seeds", pa.int64(), "seeds that the mean runs over"),
        value("n", pa.int64(), "test images, the same before and after", "images"),
        value("retention", pa.float64(), "mean retention over the seeds", "ratio"),
        value("low", pa.float64(), "lower end of its paired interval", "ratio"),
        value("high", pa.float64(), "upper end of its paired interval", "ratio"),
        CONFIDENCE,
    ]
)

CHANGES = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        key("source", pa.string(), "dataset that the mask or the recovery used", nullable=True),
        MASK,
        SPARSITY,
        RECOVERY,
        METHOD,
        key(
            "target",
            pa.string(),
            "dataset whose test images were classified; null: all transfer targets",
            nullable=True,
        ),
        ROLE,
        READOUT,
        SEED,
        value("n", pa.int64(), "test images, the same before and after", "images"),
        value("gained", pa.int64(), "wrong before the recovery, right after", "images"),
        value("lost", pa.int64(), "right before the recovery, wrong after", "images"),
        value("change", pa.float64(), "(gained - lost) / n", "fraction"),
        value("p_value", pa.float64(), "McNemar's exact test of no change, two-sided"),
        P_HOLM,
        value("verdict", pa.string(), "`higher`, `lower`, or `equal` where no change was shown"),
    ]
)

COMPARISONS = pa.schema(
    [
        STUDY,
        BACKBONE,
        READOUT,
        OF_ROLE,
        MASK,
        SPARSITY,
        SCORE,
        key("other_score", pa.string(), "the pruning score that it is compared with"),
        value("cases", pa.int64(), "(source, target, seed) triples that both have"),
        value("difference", pa.float64(), "mean top1 of score minus that of other_score", "fraction"),
        value("low", pa.float64(), "lower end of its paired interval", "fraction"),
        value("high", pa.float64(), "upper end of its paired interval", "fraction"),
        CONFIDENCE,
        value("p_value", pa.float64(), "test of no difference, two-sided"),
        P_HOLM,
        value("verdict", pa.string(), "`higher`, `lower`, or `equal` where no difference was shown"),
    ]
)
