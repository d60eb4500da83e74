"""Fetch a checkpoint, verify its digest, and keep the backbone's tensors as float32."""

from pathlib import Path

import torch

from prunetransfer.models.backbones import build_network
from prunetransfer.models.checkpoints import as_timm_reads, convert, read_checkpoint
from prunetransfer.models.classifier import own_classifier
from prunetransfer.models.sources import fetch
from prunetransfer.models.trial import try_backbone
from prunetransfer.stages.code_digest import file_digest
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import check, write_tensors

with stage(snakemake):
    weights, backbone = snakemake.params.weights, snakemake.params.backbone
    architecture, options = backbone["architecture"], backbone["options"]
    torch.manual_seed(weights["seed"])
    network = build_network(architecture, options)
    made = {"settings": backbone | weights}
    if weights["source"] == "random":
        state = {}
        convert(network.state_dict(), network)
    else:
        if snakemake.input:
            check(snakemake.input[0])
        source = snakemake.input[0] if snakemake.input else weights["source"]
        checkpoint = fetch(source, architecture, Path("resources/downloads"), weights["sha256"])
        state = read_checkpoint(checkpoint, weights["entry"], weights["prefix"], weights["rename"])
        if source == "timm":
            state = as_timm_reads(state, architecture, options)
        convert(state, network, weights["ignore"], weights["missing"])
        made["checkpoint_sha256"] = file_digest(checkpoint)
    tensors, made["trial"] = try_backbone(network, backbone, snakemake.params.size)
    tensors |= own_classifier(state, network, snakemake.params.size)
    write_tensors(snakemake.output[0], tensors, made)
