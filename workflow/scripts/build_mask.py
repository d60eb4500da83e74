"""Keep the weights of highest score, as the mask's pattern allows."""

from prunetransfer.pruning.making import make_mask
from prunetransfer.pruning.masks import write_mask
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_tensors
from prunetransfer.structure.units import read_units

with stage(snakemake):
    asked, files = snakemake.params.mask, snakemake.input
    ranking = Ranking(read_tensors(files.scores))
    if files.get("units"):
        unit_scores = read_tensors(files.unit_scores)
        in_order = [unit_scores[str(place)] for place in range(len(unit_scores))]
        ranking = Ranking(ranking.scores, read_units(files.units), in_order)
    write_mask(snakemake.output[0], make_mask(ranking, asked["sparsity"], **snakemake.params.pattern), asked)
