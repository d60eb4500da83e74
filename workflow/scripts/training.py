"""Join the curves of all fine-tuned backbones."""

import pandas as pd

from prunetransfer.pruning.masks import mask_columns
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_metadata
from prunetransfer.storage.schemas.training import TRAINING
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    rows = []
    for path in snakemake.input:
        about = {"study": snakemake.params.study, **mask_columns(path)}
        about["method"] = snakemake.params.methods[about["recovery"]]
        rows += [about | row for row in read_metadata(path)["curve"]]
    frame = pd.DataFrame(rows, columns=TRAINING.names)
    write_table(snakemake.output[0], frame, TRAINING)
