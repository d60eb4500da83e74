"""How a recovery, or a pre-training, went."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import BACKBONE, METHOD, OF_MASK, SEED, STUDY, key, value

EPOCH = key("epoch", pa.int64(), "epoch, from 1")
STEP = value("step", pa.int64(), "steps taken by the end of the epoch", "steps")
LOSS = value("loss", pa.float64(), "mean training loss over the epoch, each batch before its step")
LEARNING_RATE = value("learning_rate", pa.float64(), "learning rate of the epoch's last step")
SECONDS = value("seconds", pa.float64(), "time that the epoch took", "s")

TRAINING = pa.schema(
    [
        *OF_MASK,
        SEED,
        key("recovery", pa.string(), "recovery that trained"),
        METHOD,
        key("tuned_on", pa.string(), "dataset that it trained on"),
        EPOCH,
        STEP,
        LOSS,
        value("train_top1", pa.float64(), "train images classified correctly, each batch before its step", "fraction"),
        LEARNING_RATE,
        SECONDS,
    ]
)

PRETRAINING = pa.schema(
    [
        STUDY,
        BACKBONE,
        EPOCH,
        value("pretraining", pa.string(), "label of the pre-training"),
        value("objective", pa.string(), "what was minimised"),
        value("dataset", pa.string(), "dataset that it was trained on"),
        STEP,
        value("loss", pa.float64(), f"{LOSS.metadata[b'meaning'].decode()}; objectives have scales of their own"),
        value("knn_top1", pa.float64(), "accuracy of 20 nearest neighbours on the train images held out", "fraction"),
        value("ridge_top1", pa.float64(), "accuracy of a ridge head on them", "fraction"),
        value("spread", pa.float64(), "how far their features point apart: 0 all alike, 1 anywhere"),
        LEARNING_RATE,
        SECONDS,
    ]
)
