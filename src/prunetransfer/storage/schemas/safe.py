"""How far pruning is safe, shown and predicted."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import CONFIDENCE, OF_MEASUREMENT, value, without

# Without recovery there is nothing to name.
OF_BARE = without(OF_MEASUREMENT, "recovery", "method", "tuned_on")

SAFE_SPARSITY = pa.schema(
    [
        *without(OF_MEASUREMENT, "sparsity"),
        value("alpha", pa.float64(), "α, the accuracy that may be lost", "fraction"),
        value("delta", pa.float64(), "δ, the risk that more is lost", "fraction"),
        value("calibration_images", pa.int64(), "test images that the sparsity was chosen on", "images"),
        value("safe_sparsity", pa.float64(), "largest sparsity shown to be safe; 0 if there is none", "fraction"),
        value(
            "next_sparsity",
            pa.float64(),
            "the next one tried, not shown; null if there is none",
            "fraction",
            nullable=True,
        ),
        value(
            "measured_sparsity",
            pa.float64(),
            "largest sparsity up to which at most α is lost on all test images, perhaps by chance; 0 if there is none",
            "fraction",
        ),
        value("report_images", pa.int64(), "test images that had no part in the choice", "images"),
        value("lost", pa.float64(), "accuracy lost at safe_sparsity on the report images", "fraction"),
        value("low", pa.float64(), "lower end of its interval", "fraction"),
        value("high", pa.float64(), "upper end of its interval", "fraction"),
        CONFIDENCE,
        value("violations", pa.float64(), "share of draws from all test images whose choice loses over α", "fraction"),
    ]
)

PREDICTED_LOSS = pa.schema(
    [
        *OF_BARE,
        value("predicted", pa.float64(), "sum of the scores of the pruned weights"),
        value("measured", pa.float64(), "mean test loss of the pruned backbone minus that of the dense one"),
    ]
)

PREDICTED_SAFE = pa.schema(
    [
        *without(OF_BARE, "sparsity"),
        value(
            "rank_correlation",
            pa.float64(),
            "Spearman correlation of predicted and measured over sparsities",
            nullable=True,
        ),
        value("allowed", pa.float64(), "loss increase that counts as none: τ × the dense loss"),
        value("predicted_sparsity", pa.float64(), "largest one up to which predicted is at most allowed", "fraction"),
        value("measured_sparsity", pa.float64(), "largest one up to which measured is at most allowed", "fraction"),
    ]
)
