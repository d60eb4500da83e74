"""What evaluations measured."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import (
    BACKBONE,
    CLASSES,
    PRUNE_SOURCE,
    READOUT,
    SCORE,
    SEED,
    SPARSITY,
    STUDY,
    TARGET,
    key,
    value,
)

ACCURACY = pa.schema(
    [
        STUDY,
        BACKBONE,
        value("architecture", pa.string(), "", "what built the backbone: a timm name or a factory"),
        value("pretraining", pa.string(), "", "label of the pre-training that gave the weights"),
        SCORE,
        PRUNE_SOURCE,
        SPARSITY,
        value("achieved_sparsity", pa.float64(), "fraction", "share of the prunable weights that are gone"),
        key("recovery", pa.string(), "what was done to the pruned backbone: `none`, or an entry of `recoveries`"),
        value(
            "method",
            pa.string(),
            "",
            "what the recovery does, whatever its entry is called; links of a chain joined by `+`",
        ),
        key("tuned_on", pa.string(), "dataset that the recovery used; null if it used none", nullable=True),
        TARGET,
        value("role", pa.string(), "", "`source` if the target is prune_source or tuned_on, else `transfer`"),
        READOUT,
        SEED,
        value("n", pa.int64(), "images", "test images classified"),
        value("correct", pa.int64(), "images", "test images classified correctly; an output of NaN is a wrong answer"),
        value("top1", pa.float64(), "fraction", "correct / n"),
        value(
            "loss",
            pa.float64(),
            "",
            "mean loss over the test images: ½‖f - y‖² of a ridge head, cross-entropy of a logistic; null for `knn`, "
            "and where an output is NaN or infinite",
            nullable=True,
        ),
        value("dense_top1", pa.float64(), "fraction", "top1 of the dense backbone: same target, readout and images"),
        value("dense_loss", pa.float64(), "", "loss of the dense backbone, likewise; null for `knn`", nullable=True),
        value(
            "retention",
            pa.float64(),
            "ratio",
            "top1 / dense_top1; above 1 where pruning helped; null where the dense backbone is not above chance",
            nullable=True,
        ),
        value("images_per_second", pa.float64(), "images/s", "test images that the backbone read in a second"),
        value("device", pa.string(), "", "what computed the row: `cpu` or the name of a GPU"),
    ]
)

# What one evaluation job knows; the study, the backbone's labels and the method are added where its rows are joined.
ADDED = ("study", "architecture", "pretraining", "method")
EVALUATION = pa.schema([field for field in ACCURACY if field.name not in ADDED])

# What one evaluation job answered, image by image, so that statistics can pair measurements on the same images.
PREDICTIONS = pa.schema(
    [
        TARGET,
        key("sparsity", pa.float64(), "share of the prunable weights asked to go; null: the dense backbone", True),
        key("readout", pa.string(), "as in accuracy.parquet; in one row `label`: the true classes"),
        value(
            "predicted",
            CLASSES,
            "",
            "the class of each test image, in the order of the prepared test split; -1: its output is NaN or infinite",
        ),
    ]
)
