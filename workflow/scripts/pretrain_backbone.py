"""Train a backbone from scratch and write its weights with a card that says how."""

import hashlib
import json
from pathlib import Path

from prunetransfer.datasets.splits import read_split
from prunetransfer.models.backbones import build_backbone
from prunetransfer.models.trial import features_of, settle_layout
from prunetransfer.runtime.devices import device_name, prepare_process
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import write_tensors, write_text
from prunetransfer.training.card import card_of, checkpoint_of
from prunetransfer.training.pretraining import pretrain
from prunetransfer.training.saved_state import SavedState

with stage(snakemake):
    recipe = dict(snakemake.params.recipe)
    dataset, seed = recipe.pop("dataset"), recipe.pop("seed")
    device = prepare_process(snakemake.threads, seed)
    train, test = read_split(snakemake.input.train), read_split(snakemake.input.test)
    backbone = build_backbone(snakemake.params.backbone, folded=False)
    backbone.lay_out(contiguous=True)
    settle_layout(backbone, train.images[:2], features_of(backbone, train.images[:2]))
    backbone.to(device)
    made_with = {**snakemake.params.backbone, **snakemake.params.recipe, "device": device_name(device)}
    saved = SavedState(snakemake.output.weights, made_with, snakemake.input)
    pretraining, curve = pretrain(backbone, train, seed, saved, **recipe)
    checkpoint = checkpoint_of(pretraining)
    write_tensors(snakemake.output.weights, checkpoint, {"curve": curve, "settings": made_with})
    # checkpoint_of has rounded the network too: the accuracy on the card is that of the file.
    card = card_of(pretraining, train, test, seed) | {
        "dataset": dataset,
        "recipe": made_with,
        "curve": curve,
        "sha256": hashlib.sha256(Path(snakemake.output.weights).read_bytes()).hexdigest(),
    }
    write_text(snakemake.output.card, json.dumps(card, indent=2) + "\n")
    saved.remove()
