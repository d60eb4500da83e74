"""What evaluations measured."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import CLASSES, OF_MEASUREMENT, TARGET, key, value, without

ACCURACY = pa.schema(
    [
        *OF_MEASUREMENT,
        value("architecture", pa.string(), "what built the backbone: a timm name or a factory"),
        value("pretraining", pa.string(), "label of the pre-training that gave the weights"),
        value("achieved_sparsity", pa.float64(), "share of the prunable weights that are pruned", "fraction"),
        value("n", pa.int64(), "test images classified", "images"),
        value("correct", pa.int64(), "test images classified correctly; an output of NaN is a wrong answer", "images"),
        value("top1", pa.float64(), "correct / n", "fraction"),
        value(
            "loss",
            pa.float64(),
            "mean loss over the test images: ½‖f - y‖² of a ridge head, cross-entropy of a logistic; null for `knn`, "
            "and where an output is NaN or infinite",
            nullable=True,
        ),
        value("dense_top1", pa.float64(), "top1 of the dense backbone: same target, readout and images", "fraction"),
        value("dense_loss", pa.float64(), "loss of the dense backbone, likewise; null for `knn`", nullable=True),
        value(
            "retention",
            pa.float64(),
            "top1 / dense_top1; above 1 where pruning helped; null where the dense backbone is not above chance",
            "ratio",
            nullable=True,
        ),
        value("images_per_second", pa.float64(), "test images that the backbone read in a second", "images/s"),
        value("device", pa.string(), "what computed the row: `cpu` or the name of a GPU"),
    ]
)

# What one evaluation job knows; the others are added where the rows of all jobs are joined.
ADDED = ("study", "architecture", "pretraining", "method", "own_sources", "role")
EVALUATION = pa.schema(without(ACCURACY, *ADDED))

# What one evaluation job answered, image by image, so that statistics can pair measurements on the same images.
PREDICTIONS = pa.schema(
    [
        TARGET,
        key("mask", pa.string(), "entry of `masks`; null: the dense backbone", nullable=True),
        key("sparsity", pa.float64(), "sparsity asked of the mask; null likewise", "fraction", nullable=True),
        key("readout", pa.string(), "as in accuracy.parquet; in one row `label`: the true classes"),
        value(
            "predicted",
            CLASSES,
            "the class of each test image, in the order of the prepared test split; -1: its output is NaN or infinite",
        ),
    ]
)
