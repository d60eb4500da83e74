"""Join the curves of all pre-trained backbones."""

from pathlib import Path

import pandas as pd

from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_metadata
from prunetransfer.storage.schemas.training import PRETRAINING
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    rows = []
    for path in snakemake.input:
        about = {"study": snakemake.params.study, "backbone": Path(path).stem} | snakemake.params.labels[
            Path(path).stem
        ]
        rows += [about | row for row in read_metadata(path)["curve"]]
    frame = pd.DataFrame(rows, columns=PRETRAINING.names)
    write_table(snakemake.output[0], frame, PRETRAINING)
