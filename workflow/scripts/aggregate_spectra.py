"""Join the spectra of all tasks, and compare the tasks' curvature two by two."""

import pandas as pd

from prunetransfer.analysis.landscape import Curvature, alignments, eigenvalue_rows, landscape_row
from prunetransfer.stages.jobs import Job
from prunetransfer.stages.stage import stage
from prunetransfer.storage.artifacts import read_metadata, read_tensors
from prunetransfer.storage.schemas.landscape import ALIGNMENT, LANDSCAPE, SPECTRUM
from prunetransfer.storage.tables import write_table

with stage(snakemake):
    names = {}
    rows, eigenvalues = [], []
    for path in snakemake.input:
        record, arrays = read_metadata(path), read_tensors(path)
        job = Job.parse(record["wildcards"])
        about = {"study": snakemake.params.study, "backbone": job.backbone, "task": job.dataset, "seed": job.seed}
        rows.append(about | landscape_row(arrays, record))
        eigenvalues += [about | row for row in eigenvalue_rows(arrays, record)]
        names.setdefault(job.backbone, []).append((job.dataset, job.seed, path))
    found = [
        {"study": snakemake.params.study, "backbone": backbone} | row
        for backbone, files in names.items()
        for row in alignments(files, lambda path: Curvature.of(read_tensors(path)))
    ]
    write_table(snakemake.output.landscape, pd.DataFrame(rows), LANDSCAPE)
    write_table(snakemake.output.spectrum, pd.DataFrame(eigenvalues), SPECTRUM)
    write_table(snakemake.output.alignment, pd.DataFrame(found, columns=ALIGNMENT.names), ALIGNMENT)
