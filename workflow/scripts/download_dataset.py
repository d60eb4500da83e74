"""Fetch a dataset into the folder that the output is named after, where it is not there yet."""

import json
from pathlib import Path

from prunetransfer.datasets.downloads import download
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import provenance, write_atomically

with stage(snakemake):
    record = Path(snakemake.output[0])
    download(snakemake.params.origin, record.with_suffix(""))
    content = json.dumps(provenance(snakemake.params.origin), indent=1)
    write_atomically(record, lambda partial: partial.write_text(content, encoding="utf-8"))
