"""How good the dense backbones are."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import BACKBONE, CONFIDENCE, READOUT, STUDY, TARGET, value

DENSE = pa.schema(
    [
        STUDY,
        BACKBONE,
        TARGET,
        READOUT,
        value("n", pa.int64(), "test images", "images"),
        value("classes", pa.int64(), "classes that the test images belong to"),
        value("top1", pa.float64(), "share of them that the dense backbone classifies correctly", "fraction"),
        value("low", pa.float64(), "lower end of its exact interval (Clopper and Pearson 1934)", "fraction"),
        value("high", pa.float64(), "upper end of its exact interval", "fraction"),
        CONFIDENCE,
        value("chance", pa.float64(), "share of the most frequent class, never below 1 / classes", "fraction"),
        value("above_chance", pa.bool_(), "whether low is above chance; if not, the target is left out everywhere"),
    ]
)
