"""Compare the masks of a score between sources and between seeds."""

import pandas as pd

from prunetransfer.analysis.influence import mask_overlaps
from prunetransfer.artifacts import provenance, read_metadata
from prunetransfer.masks import read_mask
from prunetransfer.schemas.masks import MASK_OVERLAP
from prunetransfer.stage import stage
from prunetransfer.tables import write_table

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
