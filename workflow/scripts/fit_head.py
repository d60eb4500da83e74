"""Fit a dataset's head on the dense backbone's features of its train images."""

from prunetransfer.artifacts import provenance
from prunetransfer.backbones import extract_features, load_backbone
from prunetransfer.datasets.splits import read_split
from prunetransfer.devices import prepare_process
from prunetransfer.finite import not_finite
from prunetransfer.heads import write_head
from prunetransfer.heads.fitting import fit_head
from prunetransfer.stage import stage

with stage(snakemake):
    device = prepare_process(snakemake.threads, seed=0)
    backbone = load_backbone(snakemake.params.backbone, snakemake.input.weights, device)
    train = read_split(snakemake.input.train)
    features = extract_features(backbone, train.images)
    if complaint := not_finite(backbone, train.images, features):
        raise ValueError(f"{snakemake.input.train}: {complaint}")
    head = fit_head(features, train.labels.to(device), len(train.classes), snakemake.params.head)
    write_head(snakemake.output[0], head, provenance(snakemake.params.head))
    print(f"{head.kind}, alpha {head.alpha:g} on {len(train.labels)} train images")
