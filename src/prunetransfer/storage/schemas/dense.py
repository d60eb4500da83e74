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
        value("n", pa.int64(), "images", "test images"),
        value("classes", pa.int64(), "", "classes that the test images belong to"),
        value("top1", pa.float64(), "fraction", "share of them that the dense backbone classifies correctly"),
        value("low", pa.float64(), "fraction", "lower end of its exact interval (Clopper and Pearson 1934)"),
        value("high", pa.float64(), "fraction", "upper end of its exact interval"),
        CONFIDENCE,
        value("chance", pa.float64(), "fraction", "share of the most frequent class, never below 1 / classes"),
        value("above_chance", pa.bool_(), "", "whether low is above chance; if not, the target is left out everywhere"),
    ]
)
