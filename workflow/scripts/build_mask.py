"""Keep the weights of highest score, as the mask's pattern allows; of a sequence, with one source after the other."""

from prunetransfer.pruning.making import make_in_turn
from prunetransfer.pruning.masks import write_mask
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_tensors
from prunetransfer.structure.units import read_units

with stage(snakemake):
    asked, files = snakemake.params.mask, snakemake.input
    rankings = [Ranking(read_tensors(file)) for file in files.scores]
    if files.get("units"):
        units, of_units = read_units(files.units), [read_tensors(file) for file in files.unit_scores]
        in_order = [[scores[str(place)] for place in range(len(scores))] for scores in of_units]
        rankings = [Ranking(of.scores, units, own) for of, own in zip(rankings, in_order, strict=True)]
    write_mask(snakemake.output[0], make_in_turn(rankings, asked["sparsity"], **snakemake.params.pattern), asked)
