"""Score every prunable weight by a criterion."""

import importlib

from prunetransfer.datasets.splits import read_split
from prunetransfer.heads import read_head
from prunetransfer.models.backbones import load_backbone
from prunetransfer.runtime.devices import prepare_process
from prunetransfer.settings.registry import find, keywords
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import write_tensors

with stage(snakemake):
    settings, seed = dict(snakemake.params.score), int(snakemake.wildcards.seed)
    score = find("scores", settings.pop("score"), settings.pop("plugin", None))
    own = {p.name: settings.pop(p.name) for p in keywords(score.function)}
    device = prepare_process(snakemake.threads, seed)
    backbone = load_backbone(snakemake.params.backbone, snakemake.input.weights, device)
    curvature, record = {}, {}
    if structure := score.needs["structure"]:
        kind = importlib.import_module(f"prunetransfer.criteria.{structure}")
        head, train = read_head(snakemake.input.head, device), read_split(snakemake.input.train)
        curvature, record = kind.compute(backbone, head, train, seed, **settings)
    weights = {name: weight.detach() for name, weight in backbone.prunable().items()}
    scores = {name: values.cpu().numpy() for name, values in score.function(weights, curvature, **own).items()}
    write_tensors(snakemake.output[0], scores, record | {"settings": snakemake.params.score})
