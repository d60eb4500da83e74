"""Write the report's front page."""

from pathlib import Path

from prunetransfer.analysis.findings import Findings
from prunetransfer.analysis.overview import overview
from prunetransfer.artifacts import write_atomically
from prunetransfer.pages import html
from prunetransfer.schemas.costs import COSTS
from prunetransfer.stage import stage
from prunetransfer.tables import read_table

with stage(snakemake):
    found = snakemake.input
    figures = {path.stem: path for path in map(Path, found.figures)}
    text = html(overview(Findings.read(dict(found.items())), read_table(found.costs, COSTS), figures))
    write_atomically(snakemake.output[0], lambda path: Path(path).write_text(text, encoding="utf-8"))
