"""Join the curves of all fine-tuned backbones."""

import pandas as pd

from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import provenance, read_metadata
from prunetransfer.storage.schemas.training import TRAINING
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    rows = []
    for path in snakemake.input:
        record = read_metadata(path)
        job = record["job"]
        score, _, prune_source = job["criterion"].partition("@")
        recovery, _, tuned_on = job["recovery"].partition("@")
        about = {
            "study": snakemake.params.study,
            "backbone": job["backbone"],
            "score": score,
            "prune_source": prune_source or None,
            "seed": int(job["seed"]),
            "sparsity": float(job["sparsity"]),
            "recovery": recovery,
            "tuned_on": tuned_on,
        }
        rows += [about | row for row in record["curve"]]
    frame = pd.DataFrame(rows, columns=TRAINING.names)
    write_table(snakemake.output[0], frame, TRAINING, provenance({"trainings": len(snakemake.input)}))
