"""Judge the paper's predictions P1 and P2 by the accuracy table."""

from prunetransfer.analysis.verdicts import judge
from prunetransfer.artifacts import provenance
from prunetransfer.stage import stage
from prunetransfer.tables import ACCURACY, VERDICTS, read_table, write_table

with stage(snakemake):
    tolerance = snakemake.params.tolerance
    judged = judge(read_table(snakemake.input[0], ACCURACY), tolerance)
    write_table(snakemake.output[0], judged, VERDICTS, provenance({"tolerance": tolerance}))
