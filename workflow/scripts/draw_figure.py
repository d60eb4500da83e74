"""Draw one figure from its tables."""

import importlib

from prunetransfer.analysis.retention import shown
from prunetransfer.figures.style import empty, save
from prunetransfer.stages.stage import stage
from prunetransfer.storage.tables import read_table

NOTHING = "Nothing to show: no row of the tables is about a target on which the dense backbone is above chance."

with stage(snakemake):
    figure = importlib.import_module(f"prunetransfer.figures.{snakemake.params.figure}")
    tables = {name: read_table(snakemake.input[name], schema) for name, schema in figure.READS.items()}
    every = getattr(figure, "EVERY", ())
    rows = {name: shown(table, every) for name, table in tables.items()}
    drawn = figure.draw(**rows) if any(map(len, rows.values())) else empty(NOTHING)
    save(drawn, snakemake.output.png, snakemake.output.svg)
