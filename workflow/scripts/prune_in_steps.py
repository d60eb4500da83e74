"""Prune in steps: rank, prune, recover, until the sparsity is reached."""

from dataclasses import replace
from functools import partial

from prunetransfer.datasets.splits import read_split
from prunetransfer.models.backbones import load_backbone
from prunetransfer.models.trial import check_pruned
from prunetransfer.pruning.apply import mask_tensors
from prunetransfer.pruning.making import make_mask, ranked
from prunetransfer.pruning.masks import DESCRIBED_BY, write_mask
from prunetransfer.recovery.refine import refine
from prunetransfer.recovery.steps import prune_in_steps
from prunetransfer.runtime.devices import prepare_process
from prunetransfer.settings.registry import find
from prunetransfer.stages.jobs import Job
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_metadata, read_tensors, write_tensors
from prunetransfer.structure.units import read_units

with stage(snakemake):
    asked, settings, files = snakemake.params.mask, dict(snakemake.params.recovery), snakemake.input
    recovery = find("recoveries", settings.pop("recovery"), settings.pop("plugin", None))
    settings.pop("beside", None)  # among the input, by its files
    seed = Job.parse(snakemake.wildcards).seed
    device = prepare_process(snakemake.threads, seed)
    dense = load_backbone(snakemake.params.backbone, files.weights, device)
    units = read_units(files.units) if files.get("units") else None
    train, *beside = (replace(read_split(file), labels=None) for file in (files.train, *files.beside))
    mask, backbone = prune_in_steps(
        dense,
        read_tensors(files.scores),
        asked["sparsity"],
        snakemake.params.rounds,
        partial(recovery.function, **settings),
        train,
        seed,
        beside,
        lambda scores, sparsity: make_mask(ranked(scores, units), sparsity, **snakemake.params.pattern),
        partial(refine, **settings) if snakemake.params.refine else None,
    )
    check_pruned(backbone, mask_tensors(mask, device), train.images[:1])
    tensors = {key: tensor.cpu().numpy() for key, tensor in backbone.network.state_dict().items()}
    write_mask(snakemake.output.mask, mask, asked)
    described = {key: read_metadata(snakemake.output.mask)[key] for key in DESCRIBED_BY}
    write_tensors(snakemake.output.weights, tensors, described)
