"""Draw one figure from its tables."""

import importlib

from prunetransfer.analysis.retention import shown_readout
from prunetransfer.figures.style import save
from prunetransfer.stage import stage
from prunetransfer.tables import read_table

with stage(snakemake):
    figure = importlib.import_module(f"prunetransfer.figures.{snakemake.params.figure}")
    tables = {name: read_table(snakemake.input[name], schema) for name, schema in figure.READS.items()}
    shown = {name: shown_readout(table) if "readout" in table else table for name, table in tables.items()}
    save(figure.draw(**shown), snakemake.output.png, snakemake.output.svg)
