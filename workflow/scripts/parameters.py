"""List every parameter of each backbone, whether it is prunable, and if not, why."""

import pandas as pd

from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_metadata
from prunetransfer.storage.schemas.masks import PARAMETERS
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    rows = [
        {"study": snakemake.params.study, "backbone": backbone, "depth": depth, "prunable": row["left_out"] is None}
        | {key: row[key] for key in ("parameter", "numbers", "left_out")}
        for backbone, path in zip(snakemake.params.backbones, snakemake.input, strict=True)
        for depth, row in enumerate(read_metadata(path)["trial"]["parameters"])
    ]
    write_table(snakemake.output[0], pd.DataFrame(rows), PARAMETERS)
