"""Fetch a checkpoint, verify its digest, and keep the backbone's tensors as float32."""

from pathlib import Path

from prunetransfer.artifacts import provenance, write_tensors
from prunetransfer.backbones import build_network
from prunetransfer.stage import stage
from prunetransfer.weights import convert, fetch, read_checkpoint, verify

with stage(snakemake):
    weights, backbone = snakemake.params.weights, snakemake.params.backbone
    source = snakemake.input[0] if snakemake.input else weights["source"]
    checkpoint = fetch(source, downloads=Path("resources/downloads"))
    if weights["sha256"]:
        verify(checkpoint, weights["sha256"])
    network = build_network(backbone["architecture"], backbone["options"])
    tensors = convert(read_checkpoint(checkpoint), network, weights["ignore"])
    write_tensors(snakemake.output[0], tensors, provenance(backbone | weights))
