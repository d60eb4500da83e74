"""Join what all masks save."""

import pandas as pd

from prunetransfer.stages.stage import stage
from prunetransfer.storage.schemas.efficiency import EFFICIENCY, MEASURED
from prunetransfer.storage.tables import read_table, write_table

with stage(snakemake):
    rows = pd.concat([read_table(path, MEASURED) for path in snakemake.input], ignore_index=True)
    write_table(snakemake.output[0], rows.assign(study=snakemake.params.study), EFFICIENCY)
