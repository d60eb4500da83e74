"""The verdicts as a page. Every number stands in a table of the study; no sentence says more than they do."""

from __future__ import annotations

import pandas as pd

from prunetransfer.analysis.roles import judged
from prunetransfer.report.answer import answer
from prunetransfer.report.findings import Findings
from prunetransfer.report.pages import Block, Heading, Table

WORDS = {"higher": "higher", "lower": "lower", "equal": "no difference shown"}


def page(
    found: Findings,
    intervals: pd.DataFrame,
    changes: pd.DataFrame,
    comparisons: pd.DataFrame,
    mask_overlap: pd.DataFrame,
    predicted_safe: pd.DataFrame,
) -> list[Block]:
    """The page of a study's verdicts. Each argument but the first is the table of its name."""
    title = f"Verdicts of the study {found.dense['study'].iloc[0]}" if len(found.dense) else "Verdicts"
    parts = [Heading(title, 1), *answer(found), *_pretrained(found.pretraining_comparisons)]
    parts += [*_kept(found.verdicts), *_recovered(found.verdicts, changes), *_compared(comparisons)]
    parts += [*_influence(judged(intervals), mask_overlap), *_safe(judged(found.safe_sparsity))]
    parts += _predicted(judged(predicted_safe))
    return parts


def _pretrained(comparisons: pd.DataFrame) -> list[Block]:
    if comparisons.empty:
        return []
    cells = [
        (
            *(r.group, r.score, r.readout, r.role, "all" if pd.isna(r.sparsity) else f"{r.sparsity:g}"),
            f"{r.backbone} ({r.pretraining}) − {r.other_backbone} ({r.other_pretraining})",
            *(f"{r.difference:+.3f} [{r.low:+.3f}, {r.high:+.3f}]", f"{r.p_holm:.2g}", WORDS[r.verdict]),
        )
        for r in comparisons.itertuples()
    ]
    names = ("architecture", "score", "readout", "targets", "sparsity", "backbones", "difference", "p", "verdict")
    return [
        Heading("Pre-trainings against each other"),
        "Difference of mean retention with its interval, before recovery, same images; p after Holm's correction.",
        Table(names, cells),
    ]


def _kept(verdicts: pd.DataFrame) -> list[Block]:
    rows = verdicts[verdicts["prediction"] == "P1"]
    if rows.empty:
        return []
    bound = 1 - rows["tolerance"].iloc[0]
    cells = [
        (r.backbone, r.score, r.readout, r.role, r.verdict, f"{r.sustained_sparsity:g}", f"{r.assured_sparsity:g}")
        for r in rows.itertuples()
    ]
    return [
        Heading("P1: does pruning alone keep accuracy?"),
        f"Up to which sparsity mean retention is at least {bound:g}, and up to which the lower end of its "
        f"{rows['confidence'].iloc[0]:.0%} interval is. 0: not at the lowest one tried.",
        Table(("backbone", "score", "readout", "targets", "verdict", "mean", "lower end"), cells),
    ]


def _recovered(verdicts: pd.DataFrame, changes: pd.DataFrame) -> list[Block]:
    parts, rows = [], verdicts[verdicts["prediction"] == "P2"]
    if len(rows):
        cells = [
            (
                *(r.backbone, r.score, r.recovery, r.readout, r.verdict),
                *(_points(r.change, r.low, r.high), r.cases, int(r.fell)),
            )
            for r in rows.itertuples()
        ]
        parts += [
            Heading("P2: does fine-tuning on the source improve transfer accuracy?"),
            f"Mean change of accuracy in percentage points, same images, and its "
            f"{rows['confidence'].iloc[0]:.0%} interval.",
            Table(("backbone", "score", "recovery", "readout", "verdict", "change", "pairs", "of them fell"), cells),
        ]
    joined = changes[changes["target"].isna()]
    if len(joined):
        by = ["backbone", "recovery", "score", "readout", "sparsity"]
        counts = joined.groupby(by)["verdict"].value_counts().unstack(fill_value=0)
        counts = counts.reindex(columns=list(WORDS), fill_value=0)
        cells = [(*row.Index[:4], f"{row.Index[4]:g}", row.higher, row.lower, row.equal) for row in counts.itertuples()]
        parts += [
            Heading("Recoveries, mask by mask"),
            "Masks whose transfer accuracy, all transfer targets together, is higher or lower after the recovery than "
            "before, by McNemar's exact test with Holm's correction.",
            Table(("backbone", "recovery", "score", "readout", "sparsity", *WORDS.values()), cells),
        ]
    return parts


def _compared(comparisons: pd.DataFrame) -> list[Block]:
    if comparisons.empty:
        return []
    cells = [
        (
            *(r.backbone, r.readout, r.role, f"{r.sparsity:g}", f"{r.score} − {r.other_score}"),
            *(_points(r.difference, r.low, r.high), f"{r.p_holm:.2g}", WORDS[r.verdict]),
        )
        for r in comparisons.itertuples()
    ]
    return [
        Heading("Scores against each other"),
        "Difference of mean accuracy in percentage points, before recovery, its interval, and p after Holm's "
        "correction.",
        Table(("backbone", "readout", "targets", "sparsity", "scores", "difference", "p", "verdict"), cells),
    ]


def _influence(intervals: pd.DataFrame, overlap: pd.DataFrame) -> list[Block]:
    if overlap.empty and intervals["prune_source"].dropna().nunique() < 2:
        return []
    parts = [Heading("Does the pruning data matter?")]
    if len(overlap):
        found = overlap.groupby(["backbone", "score", "sparsity", "between"])["overlap"].mean().unstack()
        found = found.reindex(columns=["sources", "draws"])
        cells = [
            (*row.Index[:2], f"{row.Index[2]:g}", _number(row.sources), _number(row.draws))
            for row in found.itertuples()
        ]
        parts.append("Mean share of the kept weights that two masks have in common.")
        parts.append(Table(("backbone", "score", "sparsity", "two sources", "two draws of one source"), cells))
        if found["draws"].isna().all():
            parts.append(
                "The study has one seed, so how much two draws of one source differ is not known, and whether two "
                "sources differ by more than that cannot be told."
            )
    rows = intervals[(intervals["recovery"] == "none") & intervals["prune_source"].notna()]
    if len(rows):
        middle = sorted(rows["sparsity"].unique())[rows["sparsity"].nunique() // 2]
        rows = rows[rows["sparsity"] == middle]
        cells = [
            (r.backbone, r.score, r.readout, r.prune_source, r.target, f"{r.retention:.3f} [{r.low:.3f}, {r.high:.3f}]")
            for r in rows.itertuples()
        ]
        parts.append(f"Retention at sparsity {middle:g} by source and target.")
        parts.append(Table(("backbone", "score", "readout", "source", "target", "retention"), cells))
    return parts


def _safe(safe: pd.DataFrame) -> list[Block]:
    if safe.empty:
        return []
    first = safe.iloc[0]
    cells = [
        (
            *(r.backbone, r.score, r.prune_source, r.recovery, r.tuned_on, r.target, r.role, r.readout, r.seed),
            *(f"{r.safe_sparsity:g}", _points(r.lost, r.low, r.high), _number(r.violations)),
        )
        for r in safe.fillna({"prune_source": "-", "tuned_on": "-"}).itertuples()
    ]
    names = ("backbone", "score", "source", "recovery", "tuned on", "target", "role", "readout", "seed")
    return [
        Heading("Safe sparsity"),
        "The largest sparsity tried of which it is shown, on the calibration images, that it loses at most "
        f"{100 * first.alpha:g} percentage points of accuracy; the risk that this is wrong is at most {first.delta:g} "
        "a row. The accuracy lost is that on the other images. Violations: how often calibration sets drawn from all "
        f"the test images chose a sparsity that loses more; at most {first.delta:g} is promised.",
        Table((*names, "safe sparsity", "percentage points lost", "violations"), cells),
    ]


def _predicted(predicted: pd.DataFrame) -> list[Block]:
    if predicted.empty:
        return []
    cells = []
    for (backbone, score, role), rows in predicted.groupby(["backbone", "score", "role"]):
        error = rows["predicted_sparsity"] - rows["measured_sparsity"]
        means = rows[["rank_correlation", "predicted_sparsity", "measured_sparsity"]].mean().map(_number)
        cells.append((backbone, score, role, len(rows), *means, _number(error.abs().mean()), int((error > 0).sum())))
    names = ("backbone", "score", "targets", "cases", "rank correlation", "predicted", "measured", "mean error")
    return [
        Heading("Safe sparsity predicted from the scores alone"),
        "Up to which sparsity the loss stays within the tolerance, by the sum of the scores of the pruned weights and "
        "as measured; means over cases, and in how many the prediction goes too far.",
        Table((*names, "too far"), cells),
    ]


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}"


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
