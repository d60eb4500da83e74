"""Fetch a checkpoint, verify its digest, and keep the backbone's tensors as float32."""

from pathlib import Path

from prunetransfer.models.loading import load_weights
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import check, write_tensors

with stage(snakemake):
    weights, backbone = snakemake.params.weights, snakemake.params.backbone
    fetched = dict(weights)
    if snakemake.input:
        check(snakemake.input[0])
        fetched["source"] = snakemake.input[0]
    tensors, made = load_weights(backbone, fetched, snakemake.params.size, Path("resources/downloads"))
    write_tensors(snakemake.output[0], tensors, {"settings": backbone | weights} | made)
