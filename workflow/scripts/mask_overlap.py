"""Compare the masks of a score between sources and between seeds."""

import pandas as pd

from prunetransfer.analysis.influence import mask_overlaps
from prunetransfer.pruning.masks import read_mask
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import provenance, read_metadata
from prunetransfer.storage.schemas.masks import MASK_OVERLAP
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    jobs = []
    for path in snakemake.input:
        job = read_metadata(path)["settings"]
        score, _, prune_source = job["criterion"].partition("@")
        jobs.append(
            {"backbone": job["backbone"], "score": score, "prune_source": prune_source, "path": path}
            | {"seed": int(job["seed"]), "sparsity": float(job["sparsity"])}
        )
    frame = pd.DataFrame(mask_overlaps(jobs, lambda job: read_mask(job["path"])), columns=MASK_OVERLAP.names)
    write_table(
        snakemake.output[0],
        frame.assign(study=snakemake.params.study),
        MASK_OVERLAP,
        provenance({"masks": len(jobs)}),
    )
