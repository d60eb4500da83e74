"""What follows from the accuracies, with how sure it is."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import (
    BACKBONE,
    CONFIDENCE,
    OF_ROLE,
    P_HOLM,
    PRUNE_SOURCE,
    READOUT,
    RECOVERY,
    ROLE,
    SCORE,
    SEED,
    SPARSITY,
    STUDY,
    TARGET,
    TUNED_ON,
    key,
    value,
)

VERDICTS = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        READOUT,
        key("prediction", pa.string(), "prediction of the paper that the row judges: `P1` or `P2`"),
        key("recovery", pa.string(), "P1: `none`; P2: the entry of `recoveries` that fine-tunes"),
        OF_ROLE,
        value("verdict", pa.string(), "", "P1: `holds`, `partly`, `fails`; P2: `improved`, `mixed`, `harmed`"),
        value("cases", pa.int64(), "", "P1: (source, target, seed) triples in each mean; P2: pairs compared"),
        value("tolerance", pa.float64(), "ratio", "P1: τ, the loss of retention that counts as none", True),
        value(
            "sustained_sparsity",
            pa.float64(),
            "fraction",
            "P1: largest tried sparsity up to which mean retention is at least 1 - τ at every one; 0 if there is none",
            True,
        ),
        value(
            "assured_sparsity",
            pa.float64(),
            "fraction",
            "P1: the same of the lower end of the interval of mean retention",
            True,
        ),
        CONFIDENCE,
        value("change", pa.float64(), "fraction", "P2: mean of top1 after fine-tuning minus before", True),
        value("low", pa.float64(), "fraction", "P2: lower end of the interval of change", True),
        value("high", pa.float64(), "fraction", "P2: upper end of the interval of change", True),
        value("fell", pa.int64(), "", "P2: pairs whose top1 fell", True),
    ]
)

RETENTION = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        RECOVERY,
        READOUT,
        OF_ROLE,
        SPARSITY,
        value("cases", pa.int64(), "", "(source, target, seed) triples that the mean runs over"),
        value("retention", pa.float64(), "ratio", "mean retention"),
        value("low", pa.float64(), "ratio", "lower end of its paired interval"),
        value("high", pa.float64(), "ratio", "upper end of its paired interval"),
        CONFIDENCE,
    ]
)

INTERVALS = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        PRUNE_SOURCE,
        SPARSITY,
        RECOVERY,
        TUNED_ON,
        TARGET,
        ROLE,
        READOUT,
        value("seeds", pa.int64(), "", "seeds that the mean runs over"),
        value("n", pa.int64(), "images", "test images, the same before and after"),
        value("retention", pa.float64(), "ratio", "mean retention over the seeds"),
        value("low", pa.float64(), "ratio", "lower end of its paired interval"),
        value("high", pa.float64(), "ratio", "upper end of its paired interval"),
        CONFIDENCE,
    ]
)

CHANGES = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        key("source", pa.string(), "dataset that the mask or the recovery used", nullable=True),
        SPARSITY,
        RECOVERY,
        key("target", pa.string(), "dataset whose test images were classified; null: all transfer targets", True),
        ROLE,
        READOUT,
        SEED,
        value("n", pa.int64(), "images", "test images, the same before and after"),
        value("gained", pa.int64(), "images", "wrong before the recovery, right after"),
        value("lost", pa.int64(), "images", "right before the recovery, wrong after"),
        value("change", pa.float64(), "fraction", "(gained - lost) / n"),
        value("p_value", pa.float64(), "", "McNemar's exact test of no change, two-sided"),
        P_HOLM,
        value("verdict", pa.string(), "", "`higher`, `lower`, or `equal` where no change was shown"),
    ]
)

COMPARISONS = pa.schema(
    [
        STUDY,
        BACKBONE,
        READOUT,
        OF_ROLE,
        SPARSITY,
        SCORE,
        key("other_score", pa.string(), "the pruning score that it is compared with"),
        value("cases", pa.int64(), "", "(source, target, seed) triples that both have"),
        value("difference", pa.float64(), "fraction", "mean top1 of score minus that of other_score"),
        value("low", pa.float64(), "fraction", "lower end of its paired interval"),
        value("high", pa.float64(), "fraction", "upper end of its paired interval"),
        CONFIDENCE,
        value("p_value", pa.float64(), "", "test of no difference, two-sided"),
        P_HOLM,
        value("verdict", pa.string(), "", "`higher`, `lower`, or `equal` where no difference was shown"),
    ]
)
