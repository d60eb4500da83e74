"""Fit a dataset's head on the dense backbone's features of its train images."""

from prunetransfer.artifacts import provenance, write_tensors
from prunetransfer.backbones import extract_features, load_backbone
from prunetransfer.datasets.splits import read_split
from prunetransfer.devices import prepare_process
from prunetransfer.heads import fit_ridge
from prunetransfer.stage import stage

with stage(snakemake):
    device = prepare_process(snakemake.threads, seed=0)
    backbone = load_backbone(snakemake.params.backbone, snakemake.input.weights, device)
    train = read_split(snakemake.input.train)
    alpha = snakemake.params.head["alpha"]
    head = fit_ridge(
        extract_features(backbone, train.images).cpu(),
        train.labels,
        len(train.classes),
        alpha=None if alpha == "auto" else alpha,
    )
    tensors = {"weight": head.weight.numpy(), "bias": head.bias.numpy()}
    write_tensors(snakemake.output[0], tensors, {"alpha": head.alpha, **provenance(snakemake.params.head)})
    print(f"alpha {head.alpha:g} on {len(train.labels)} train images")
