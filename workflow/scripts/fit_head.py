"""Fit a dataset's head on the dense backbone's features of its train images, or take the checkpoint's own."""

from prunetransfer.datasets.splits import read_split
from prunetransfer.heads import write_head
from prunetransfer.heads.fitting import fit_head
from prunetransfer.heads.own import own_head
from prunetransfer.models.backbones import extract_features, load_backbone
from prunetransfer.models.finite import not_finite
from prunetransfer.runtime.devices import prepare_process
from prunetransfer.stages.stage import stage

with stage(snakemake):
    settings, train = snakemake.params.head, read_split(snakemake.input.train)
    if settings["kind"] == "own":
        head = own_head(snakemake.input.weights, train, settings["classes"], settings["views"])
        print(f"the checkpoint's own, {len(head.bias)} of its classes")
    else:
        device = prepare_process(snakemake.threads, seed=0)
        backbone = load_backbone(snakemake.params.backbone, snakemake.input.weights, device)
        features = extract_features(backbone, train.images)
        if complaint := not_finite(backbone, train.images, features):
            raise ValueError(f"{snakemake.input.train}: {complaint}")
        head = fit_head(features, train.labels.to(device), len(train.classes), settings)
        print(f"{head.kind}, alpha {head.alpha:g} on {len(train.labels)} train images")
    write_head(snakemake.output[0], head, {"settings": settings})
