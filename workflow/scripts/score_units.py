"""Score whole units by a criterion: in the score's own form for units, or by its scores of their weights."""

from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_tensors, write_tensors
from prunetransfer.structure.units import read_units, summed


def own_form(settings, seed, files, units):
    """The scores of the units, and what the score says of itself."""
    from prunetransfer.criteria.source import Source
    from prunetransfer.runtime.devices import prepare_process
    from prunetransfer.settings.registry import find

    score = find("scores", settings.pop("score"), settings.pop("plugin", None))
    settings.pop("beside", None)  # among the input, by its files
    device = prepare_process(snakemake.threads, seed)
    source = Source.read(snakemake.params.backbone, snakemake.params.size, files, seed, device)
    return score.units(source, units, **settings), source.record


with stage(snakemake):
    files = snakemake.input
    units = read_units(files.units)
    if files.get("scores"):  # sums need no PyTorch, which takes longer to import than they do
        scores, record = summed(units, read_tensors(files.scores)), {}
    else:
        scores, record = own_form(dict(snakemake.params.score), int(snakemake.wildcards.seed), files, units)
    arrays = {str(place): values for place, values in enumerate(scores)}
    write_tensors(snakemake.output[0], arrays, record | {"settings": snakemake.params.score})
