"""Count what each mask prunes in each layer."""

import pandas as pd

from prunetransfer.analysis.shared import with_seeds
from prunetransfer.pruning.masks import layer_counts, mask_columns, read_mask
from prunetransfer.stages.stage import stage
from prunetransfer.storage.schemas.masks import LAYER_SPARSITY
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    rows = []
    for path in snakemake.input:
        about = {"study": snakemake.params.study, **mask_columns(path)}
        rows += [about | counts for counts in layer_counts(read_mask(path))]
    frame = with_seeds(pd.DataFrame(rows), snakemake.params.seeds)
    write_table(snakemake.output[0], frame, LAYER_SPARSITY)
