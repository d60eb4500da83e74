"""Score every prunable weight by a criterion."""

from prunetransfer.criteria.source import Source
from prunetransfer.runtime.devices import prepare_process
from prunetransfer.settings.registry import find
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import write_tensors

with stage(snakemake):
    settings, seed, files = dict(snakemake.params.score), int(snakemake.wildcards.seed), snakemake.input
    score = find("scores", settings.pop("score"), settings.pop("plugin", None))
    settings.pop("beside", None)  # among the input, by its files
    device = prepare_process(snakemake.threads, seed)
    source = Source.read(snakemake.params.backbone, snakemake.params.size, files, seed, device)
    scores = {name: values.cpu().numpy() for name, values in score.function(source, **settings).items()}
    write_tensors(snakemake.output[0], scores, source.record | {"settings": snakemake.params.score})
