"""Score every prunable weight by a criterion."""

from prunetransfer.criteria.source import Source
from prunetransfer.datasets.splits import read_split
from prunetransfer.heads import read_head
from prunetransfer.models.backbones import load_backbone
from prunetransfer.runtime.devices import prepare_process
from prunetransfer.settings.registry import find
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import write_tensors

with stage(snakemake):
    settings, seed, files = dict(snakemake.params.score), int(snakemake.wildcards.seed), snakemake.input
    score = find("scores", settings.pop("score"), settings.pop("plugin", None))
    settings.pop("beside", None)  # among the input, by its files
    device = prepare_process(snakemake.threads, seed)
    source = Source(
        load_backbone(snakemake.params.backbone, files.weights, device),
        read_head(files.head, device) if files.get("head") else None,
        read_split(files.train) if files.get("train") else None,
        seed,
        (3, snakemake.params.size, snakemake.params.size),
        [read_split(file) for file in files.get("beside", [])],
    )
    scores = {name: values.cpu().numpy() for name, values in score.function(source, **settings).items()}
    write_tensors(snakemake.output[0], scores, source.record | {"settings": snakemake.params.score})
