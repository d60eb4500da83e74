"""Draw one figure from its table."""

import importlib

from prunetransfer.analysis.retention import shown_readout
from prunetransfer.figures.style import save
from prunetransfer.schemas.accuracy import ACCURACY
from prunetransfer.schemas.masks import LAYER_SPARSITY
from prunetransfer.stage import stage
from prunetransfer.tables import read_table

with stage(snakemake):
    figure = importlib.import_module(f"prunetransfer.figures.{snakemake.params.figure}")
    schema = LAYER_SPARSITY if snakemake.params.figure == "layers" else ACCURACY
    table = read_table(snakemake.input[0], schema)
    shown = table if schema is LAYER_SPARSITY else shown_readout(table)
    save(figure.draw(shown), snakemake.output.png, snakemake.output.svg)
