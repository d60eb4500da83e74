"""Judge the paper's predictions P1 and P2, and compare retention, recoveries and scores, image by image."""

from prunetransfer.analysis.comparisons import compare_scores, mean_retentions, recovery_changes, retention_intervals
from prunetransfer.analysis.outcomes import read_outcomes
from prunetransfer.analysis.verdicts import judge
from prunetransfer.stages.stage import stage
from prunetransfer.storage.schemas.dense import DENSE
from prunetransfer.storage.schemas.verdicts import CHANGES, COMPARISONS, INTERVALS, RETENTION, VERDICTS
from prunetransfer.storage.tables import read_table, write_table

with stage(snakemake):
    levels, output = dict(snakemake.params.levels), snakemake.output
    dense, confidence = read_table(snakemake.input.dense, DENSE), levels["confidence"]
    outcomes = read_outcomes(snakemake.input.predictions, dense, **snakemake.params.of_study)
    write_table(output.verdicts, judge(outcomes, **levels), VERDICTS)
    write_table(output.retention, mean_retentions(outcomes, confidence), RETENTION)
    write_table(output.intervals, retention_intervals(outcomes, confidence), INTERVALS)
    write_table(output.changes, recovery_changes(outcomes, confidence), CHANGES)
    write_table(output.comparisons, compare_scores(outcomes, confidence), COMPARISONS)
