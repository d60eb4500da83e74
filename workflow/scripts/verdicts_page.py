"""Write the verdicts as a page, for the terminal and for the browser."""

from prunetransfer.report.findings import Findings
from prunetransfer.report.pages import html, markdown
from prunetransfer.report.verdicts import page
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import write_text
from prunetransfer.storage.schemas.registry import TABLES
from prunetransfer.storage.tables import read_table

with stage(snakemake):
    paths = dict(snakemake.input.items())
    found = Findings.read(paths)
    others = {name: path for name, path in paths.items() if name not in vars(found)}
    blocks = page(found, **{name: read_table(path, TABLES[name]) for name, path in others.items()})
    for output, text in {snakemake.output.md: markdown(blocks), snakemake.output.html: html(blocks)}.items():
        write_text(output, text)
