"""Recover a pruned backbone without changing its mask."""

from dataclasses import replace

from prunetransfer.datasets.splits import read_split
from prunetransfer.heads import read_head
from prunetransfer.models.backbones import load_backbone, load_state
from prunetransfer.models.trial import check_pruned
from prunetransfer.pruning.apply import load_mask
from prunetransfer.pruning.masks import DESCRIBED_BY
from prunetransfer.recovery.case import Case
from prunetransfer.runtime.devices import device_name, prepare_process
from prunetransfer.settings.registry import find
from prunetransfer.stages.jobs import Job
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_metadata, write_tensors
from prunetransfer.training.saved_state import SavedState

with stage(snakemake):
    settings, seed = dict(snakemake.params.recovery), Job.parse(snakemake.wildcards).seed
    recovery = find("recoveries", settings.pop("recovery"), settings.pop("plugin", None))
    settings.pop("beside", None)  # among the input, by its files
    device = prepare_process(snakemake.threads, seed)
    dense, backbone = (load_backbone(snakemake.params.backbone, snakemake.input.weights, device) for _ in range(2))
    mask = load_mask(snakemake.input.mask, device)
    if earlier := snakemake.input.get("earlier"):
        load_state(backbone, earlier)
    backbone.prune(mask)
    train = read_split(snakemake.input.train)
    if recovery.needs["labels"]:
        head = read_head(snakemake.input.head, device)
    else:
        head, train = None, replace(train, labels=None)
    made_with = {**snakemake.params, "device": device_name(device)}
    saved = SavedState(snakemake.output[0], made_with, snakemake.input)
    resumable = saved if recovery.needs["resumable"] else None
    beside = [replace(read_split(file), labels=None) for file in snakemake.input.get("beside", [])]
    curve = recovery.function(Case(backbone, dense, mask, head, train, seed, resumable, beside), **settings)
    check_pruned(backbone, mask, train.images[:1])
    tensors = {key: tensor.cpu().numpy() for key, tensor in backbone.network.state_dict().items()}
    described = {key: read_metadata(snakemake.input.mask)[key] for key in DESCRIBED_BY}
    write_tensors(snakemake.output[0], tensors, described | {"curve": curve})
    saved.remove()
