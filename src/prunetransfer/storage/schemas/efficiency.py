"""What masks save once the pruned backbone is used."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import OF_MASK, SEED, key, value, without

_BYTES = "of a safetensors file with all its tensors in full, without metadata"
_SPARSE = "of the same in the format `sparse` of an export: bits and the weights that are not 0, where that is less"

EFFICIENCY = pa.schema(
    [
        *OF_MASK,
        SEED,
        key("batch_size", pa.int64(), "images that the networks read at a time", "images"),
        value("device", pa.string(), "what computed: `cpu` or the name of a GPU"),
        value("threads", pa.int64(), "threads of the CPU that it was given"),
        value("parameters", pa.int64(), "numbers that the pruned network holds, zeros and all", "numbers"),
        value("nonzero", pa.int64(), "those that are not 0", "numbers"),
        value("multiply_adds", pa.int64(), "of the pruned network for one image, zeros and all"),
        value("bytes", pa.int64(), _BYTES, "bytes"),
        value("sparse_bytes", pa.int64(), _SPARSE, "bytes"),
        value("dense_parameters", pa.int64(), "numbers that the dense network holds", "numbers"),
        value("dense_nonzero", pa.int64(), "those that are not 0", "numbers"),
        value("dense_multiply_adds", pa.int64(), "of the dense network for one image"),
        value("dense_bytes", pa.int64(), "`bytes` of the dense network", "bytes"),
        value("dense_sparse_bytes", pa.int64(), "`sparse_bytes` of the dense network", "bytes"),
        value("rounds", pa.int64(), "rounds of a batch through the dense and then the pruned network"),
        value("latency_ms", pa.float64(), "time of a batch through the pruned network, median of the rounds", "ms"),
        value("dense_latency_ms", pa.float64(), "time of a batch through the dense network, likewise", "ms"),
        value("speed_up", pa.float64(), "time of the dense network over that of the pruned, median", "ratio"),
        value("speed_up_low", pa.float64(), "lower quartile of speed_up over the rounds", "ratio"),
        value("speed_up_high", pa.float64(), "upper quartile of it", "ratio"),
    ]
)

# What one job knows; the study is added where the rows of all jobs are joined.
MEASURED = pa.schema(without(EFFICIENCY, "study"))
