"""How far pruning is safe, shown and predicted."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import (
    BACKBONE,
    CONFIDENCE,
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
    value,
)

SAFE_SPARSITY = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        PRUNE_SOURCE,
        RECOVERY,
        TUNED_ON,
        TARGET,
        ROLE,
        READOUT,
        SEED,
        value("alpha", pa.float64(), "fraction", "α, the accuracy that may be lost"),
        value("delta", pa.float64(), "fraction", "δ, the risk that more is lost"),
        value("calibration_images", pa.int64(), "images", "test images that the sparsity was chosen on"),
        value("safe_sparsity", pa.float64(), "fraction", "largest sparsity shown to be safe; 0 if there is none"),
        value("next_sparsity", pa.float64(), "fraction", "the next one tried, not shown; null if there is none", True),
        value(
            "measured_sparsity",
            pa.float64(),
            "fraction",
            "largest sparsity up to which at most α is lost on all test images, perhaps by chance; 0 if there is none",
        ),
        value("report_images", pa.int64(), "images", "test images that had no part in the choice"),
        value("lost", pa.float64(), "fraction", "accuracy lost at safe_sparsity on the report images"),
        value("low", pa.float64(), "fraction", "lower end of its interval"),
        value("high", pa.float64(), "fraction", "upper end of its interval"),
        CONFIDENCE,
        value("violations", pa.float64(), "fraction", "share of draws from all test images whose choice loses over α"),
    ]
)

PREDICTED_LOSS = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        PRUNE_SOURCE,
        SPARSITY,
        TARGET,
        ROLE,
        READOUT,
        SEED,
        value("predicted", pa.float64(), "", "sum of the scores of the pruned weights"),
        value("measured", pa.float64(), "", "mean test loss of the pruned backbone minus that of the dense one"),
    ]
)

PREDICTED_SAFE = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        PRUNE_SOURCE,
        TARGET,
        ROLE,
        READOUT,
        SEED,
        value(
            "rank_correlation", pa.float64(), "", "Spearman correlation of predicted and measured over sparsities", True
        ),
        value("allowed", pa.float64(), "", "loss increase that counts as none: τ × the dense loss"),
        value("predicted_sparsity", pa.float64(), "fraction", "largest one up to which predicted is at most allowed"),
        value("measured_sparsity", pa.float64(), "fraction", "largest one up to which measured is at most allowed"),
    ]
)
