"""Find the curvature of a task's loss at the dense weights."""

from prunetransfer.curvature.task import Task
from prunetransfer.datasets.splits import draw_images, read_split
from prunetransfer.heads import read_head
from prunetransfer.landscape.spectrum import compute
from prunetransfer.models.backbones import load_backbone
from prunetransfer.runtime.devices import prepare_process
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import write_tensors

with stage(snakemake):
    settings, seed = dict(snakemake.params.landscape), int(snakemake.wildcards.seed)
    device = prepare_process(snakemake.threads, seed)
    backbone = load_backbone(snakemake.params.backbone, snakemake.input.weights, device)
    head, train = read_head(snakemake.input.head, device), read_split(snakemake.input.train)
    sample, drawn = draw_images(train, settings.pop("samples"), "balanced", seed)
    arrays, record = compute(Task(backbone, head, sample), seed, **settings)
    write_tensors(snakemake.output[0], arrays, drawn | record)
