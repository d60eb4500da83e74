"""Write the report's front page."""

from pathlib import Path

from prunetransfer.analysis.overview import overview
from prunetransfer.artifacts import write_atomically
from prunetransfer.pages import html
from prunetransfer.schemas.costs import COSTS
from prunetransfer.schemas.safe import SAFE_SPARSITY
from prunetransfer.schemas.verdicts import VERDICTS
from prunetransfer.stage import stage
from prunetransfer.tables import read_table

with stage(snakemake):
    found = snakemake.input
    verdicts, safe = read_table(found.verdicts, VERDICTS), read_table(found.safe_sparsity, SAFE_SPARSITY)
    text = html(overview(verdicts, safe, read_table(found.costs, COSTS), Path(found.figure)))
    write_atomically(snakemake.output[0], lambda path: Path(path).write_text(text, encoding="utf-8"))
