"""Write the verdicts as a page."""

from pathlib import Path

from prunetransfer.analysis.prose import page
from prunetransfer.artifacts import write_atomically
from prunetransfer.schemas.registry import TABLES
from prunetransfer.stage import stage
from prunetransfer.tables import read_table

with stage(snakemake):
    found = {name: read_table(path, TABLES[name]) for name, path in snakemake.input.items()}
    text = page(**found)
    write_atomically(snakemake.output[0], lambda path: Path(path).write_text(text, encoding="utf-8"))
