"""Count what each mask prunes in each layer."""

import pandas as pd

from prunetransfer.analysis.shared import with_seeds
from prunetransfer.pruning.masks import layer_counts, read_mask
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import provenance, read_metadata
from prunetransfer.storage.schemas.masks import LAYER_SPARSITY
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    rows = []
    for path in snakemake.input:
        job = read_metadata(path)["settings"]
        score, _, prune_source = job["criterion"].partition("@")
        rows += [
            {
                "study": snakemake.params.study,
                "backbone": job["backbone"],
                "score": score,
                "prune_source": prune_source or None,
                "seed": int(job["seed"]),
                "sparsity": float(job["sparsity"]),
                **counts,
            }
            for counts in layer_counts(read_mask(path))
        ]
    frame = with_seeds(pd.DataFrame(rows), snakemake.params.seeds)
    write_table(snakemake.output[0], frame, LAYER_SPARSITY, provenance({"masks": len(snakemake.input)}))
