"""Compare the masks of a score between sources and between seeds."""

import pandas as pd

from prunetransfer.analysis.influence import mask_overlaps
from prunetransfer.pruning.masks import mask_columns, read_mask
from prunetransfer.stages.stage import stage
from prunetransfer.storage.schemas.masks import MASK_OVERLAP
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    jobs = [mask_columns(path) | {"path": path} for path in snakemake.input]
    frame = pd.DataFrame(mask_overlaps(jobs, lambda job: read_mask(job["path"])), columns=MASK_OVERLAP.names)
    write_table(snakemake.output[0], frame.assign(study=snakemake.params.study), MASK_OVERLAP)
