"""Join the curves of all pre-trained backbones."""

import pandas as pd

from prunetransfer.stages.jobs import Job
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_metadata
from prunetransfer.storage.schemas.training import PRETRAINING
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    rows = []
    for path in snakemake.input:
        record = read_metadata(path)
        backbone = Job.parse(record["wildcards"]).backbone
        about = {"study": snakemake.params.study, "backbone": backbone} | snakemake.params.labels[backbone]
        rows += [about | row for row in record["curve"]]
    frame = pd.DataFrame(rows, columns=PRETRAINING.names)
    write_table(snakemake.output[0], frame, PRETRAINING)
