"""Write the report's front page."""

from pathlib import Path

from prunetransfer.report.findings import Findings
from prunetransfer.report.overview import overview
from prunetransfer.report.pages import html
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import write_text
from prunetransfer.storage.schemas.costs import COSTS
from prunetransfer.storage.tables import read_table

with stage(snakemake):
    found = snakemake.input
    figures = {path.stem: path for path in map(Path, found.figures)}
    text = html(overview(Findings.read(dict(found.items())), read_table(found.costs, COSTS), figures))
    write_text(snakemake.output[0], text)
