"""Write the verdicts as a page."""

from pathlib import Path

from prunetransfer import tables
from prunetransfer.analysis.prose import page
from prunetransfer.artifacts import write_atomically
from prunetransfer.stage import stage

with stage(snakemake):
    found = {name: tables.read_table(path, getattr(tables, name.upper())) for name, path in snakemake.input.items()}
    text = page(**found)
    write_atomically(snakemake.output[0], lambda path: Path(path).write_text(text, encoding="utf-8"))
