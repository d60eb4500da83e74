"""Fetch a dataset into the folder that the output is named after, where it is not there yet."""

import json
from pathlib import Path

from prunetransfer.datasets.downloads import download
from prunetransfer.stages.stage import stage
from prunetransfer.storage import provenance
from prunetransfer.storage.artifacts import write_text

with stage(snakemake):
    record = Path(snakemake.output[0])
    download(snakemake.params.origin, record.with_suffix(""))
    write_text(record, json.dumps(provenance.facts() | {"settings": snakemake.params.origin}, indent=1))
