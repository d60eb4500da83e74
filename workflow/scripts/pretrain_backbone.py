"""Train a backbone from scratch and write its weights with a card that says how."""

import hashlib
import json
from pathlib import Path

from prunetransfer.artifacts import provenance, write_atomically, write_tensors
from prunetransfer.backbones import build_backbone
from prunetransfer.datasets.splits import read_split
from prunetransfer.devices import device_name, prepare_process
from prunetransfer.pretraining import accuracy, half_precision_state, pretrain
from prunetransfer.stage import stage
from prunetransfer.trial import features_of, settle_layout

with stage(snakemake):
    backbone_settings, recipe = snakemake.params.backbone, dict(snakemake.params.recipe)
    dataset, seed = recipe.pop("dataset"), recipe.pop("seed")
    device = prepare_process(snakemake.threads, seed)
    train, test = read_split(snakemake.input.train), read_split(snakemake.input.test)
    backbone = build_backbone(backbone_settings, num_classes=len(train.classes))
    backbone.lay_out(contiguous=True)
    settle_layout(backbone, train.images[:2], features_of(backbone, train.images[:2]))
    backbone.to(device)
    pretrain(backbone, train, **recipe)
    made_with = backbone_settings | snakemake.params.recipe
    # Rounds the backbone too: the accuracy on the card is that of the file.
    write_tensors(snakemake.output.weights, half_precision_state(backbone), provenance(made_with))
    card = {
        "data": {"dataset": dataset, "train": len(train.labels), "test": len(test.labels), "classes": train.classes},
        "recipe": made_with,
        "parameters": sum(weight.numel() for weight in backbone.parameters()),
        "test_top1": accuracy(backbone, test),
        "device": device_name(device),
        "sha256": hashlib.sha256(Path(snakemake.output.weights).read_bytes()).hexdigest(),
    }
    write_atomically(snakemake.output.card, lambda partial: partial.write_text(json.dumps(card, indent=2) + "\n"))
