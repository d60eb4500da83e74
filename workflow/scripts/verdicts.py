"""Judge the paper's predictions P1 and P2, and compare retention, recoveries and scores, image by image."""

from prunetransfer.analysis.comparisons import compare_scores, recovery_changes, retention_intervals
from prunetransfer.analysis.outcomes import read_outcomes
from prunetransfer.analysis.shared import with_seeds
from prunetransfer.analysis.verdicts import judge
from prunetransfer.artifacts import provenance
from prunetransfer.schemas.verdicts import CHANGES, COMPARISONS, INTERVALS, VERDICTS
from prunetransfer.stage import stage
from prunetransfer.tables import write_table

with stage(snakemake):
    levels, output = dict(snakemake.params.levels), snakemake.output
    outcomes = with_seeds(read_outcomes(snakemake.input, snakemake.params.study), snakemake.params.seeds)
    confidence = levels["confidence"]
    made_with = provenance(levels)
    write_table(output.verdicts, judge(outcomes, **levels), VERDICTS, made_with)
    write_table(output.intervals, retention_intervals(outcomes, confidence), INTERVALS, made_with)
    write_table(output.changes, recovery_changes(outcomes, confidence), CHANGES, made_with)
    write_table(output.comparisons, compare_scores(outcomes, confidence), COMPARISONS, made_with)
