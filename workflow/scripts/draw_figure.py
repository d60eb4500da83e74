"""Draw one figure from its table."""

import importlib

from prunetransfer.figures.style import save
from prunetransfer.stage import stage
from prunetransfer.tables import ACCURACY, LAYER_SPARSITY, read_table

with stage(snakemake):
    figure = importlib.import_module(f"prunetransfer.figures.{snakemake.params.figure}")
    schema = LAYER_SPARSITY if snakemake.params.figure == "layers" else ACCURACY
    save(figure.draw(read_table(snakemake.input[0], schema)), snakemake.output.png, snakemake.output.svg)
