"""How a recovery trained."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.schemas.columns import BACKBONE, PRUNE_SOURCE, SCORE, SEED, SPARSITY, STUDY, key, value

TRAINING = pa.schema(
    [
        STUDY,
        BACKBONE,
        SCORE,
        PRUNE_SOURCE,
        SEED,
        SPARSITY,
        key("recovery", pa.string(), "recovery that trained"),
        key("tuned_on", pa.string(), "dataset that it trained on"),
        key("epoch", pa.int64(), "epoch, from 1"),
        value("step", pa.int64(), "steps", "steps taken by the end of the epoch"),
        value("loss", pa.float64(), "", "mean training loss over the epoch, each batch before its step"),
        value("train_top1", pa.float64(), "fraction", "train images classified correctly, each batch before its step"),
        value("learning_rate", pa.float64(), "", "learning rate of the epoch's last step"),
        value("seconds", pa.float64(), "s", "time that the epoch took"),
    ]
)
