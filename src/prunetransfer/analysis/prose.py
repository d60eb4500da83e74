"""The verdicts as a page of Markdown. Every number stands in a table; no sentence says more than they do."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

WORDS = {"higher": "higher", "lower": "lower", "equal": "no difference shown"}


def page(
    verdicts: pd.DataFrame,
    intervals: pd.DataFrame,
    changes: pd.DataFrame,
    comparisons: pd.DataFrame,
    safe_sparsity: pd.DataFrame,
    mask_overlap: pd.DataFrame,
    predicted_safe: pd.DataFrame,
) -> str:
    """Markdown of a study's verdicts. Each argument is the table of its name."""
    parts = [f"# Verdicts of the study {verdicts['study'].iloc[0]}" if len(verdicts) else "# Verdicts"]
    parts += [*_kept(verdicts), *_recovered(verdicts, changes), *_compared(comparisons)]
    parts += [*_influence(intervals, mask_overlap), *_safe(safe_sparsity), *_predicted(predicted_safe)]
    return "\n\n".join(parts) + "\n"


def worst_targets(safe: pd.DataFrame) -> pd.DataFrame:
    """The least safe sparsity over the transfer targets of each criterion, over seeds: safe for each of them at δ.

    A union of nulls is tested by its largest p-value, so the least needs no further correction.
    """
    by = ["backbone", "score", "prune_source", "recovery", "tuned_on", "readout"]
    transfer = safe[safe["role"] == "transfer"].sort_values("safe_sparsity", kind="stable")
    return transfer.groupby(by, dropna=False).first().reset_index()


def _kept(verdicts: pd.DataFrame) -> list[str]:
    rows = verdicts[verdicts["prediction"] == "P1"]
    if rows.empty:
        return []
    bound = 1 - rows["tolerance"].iloc[0]
    cells = [
        (r.backbone, r.score, r.readout, r.role, r.verdict, f"{r.sustained_sparsity:g}", f"{r.assured_sparsity:g}")
        for r in rows.itertuples()
    ]
    return [
        "## P1: does pruning alone keep accuracy?",
        f"Up to which sparsity mean retention is at least {bound:g}, and up to which the lower end of its "
        f"{rows['confidence'].iloc[0]:.0%} interval is. 0: not at the lowest one tried.",
        _table(("backbone", "score", "readout", "targets", "verdict", "mean", "lower end"), cells),
    ]


def _recovered(verdicts: pd.DataFrame, changes: pd.DataFrame) -> list[str]:
    parts, rows = [], verdicts[verdicts["prediction"] == "P2"]
    if len(rows):
        cells = [
            (r.backbone, r.score, r.readout, r.verdict, _points(r.change, r.low, r.high), r.cases, r.fell)
            for r in rows.itertuples()
        ]
        parts += [
            "## P2: does fine-tuning on the source improve transfer accuracy?",
            f"Mean change of accuracy in points with its {rows['confidence'].iloc[0]:.0%} interval, same images.",
            _table(("backbone", "score", "readout", "verdict", "change", "pairs", "of them fell"), cells),
        ]
    joined = changes[changes["target"].isna()]
    if len(joined):
        by = ["backbone", "recovery", "score", "readout", "sparsity"]
        counts = joined.groupby(by)["verdict"].value_counts().unstack(fill_value=0)
        counts = counts.reindex(columns=list(WORDS), fill_value=0)
        cells = [(*row.Index[:4], f"{row.Index[4]:g}", row.higher, row.lower, row.equal) for row in counts.itertuples()]
        parts += [
            "## Recoveries, mask by mask",
            "Masks whose transfer accuracy, all transfer targets together, is higher or lower after the recovery than "
            "before, by McNemar's exact test with Holm's correction.",
            _table(("backbone", "recovery", "score", "readout", "sparsity", *WORDS.values()), cells),
        ]
    return parts


def _compared(comparisons: pd.DataFrame) -> list[str]:
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
        "## Scores against each other",
        "Difference of mean accuracy in points with its interval, before recovery; p after Holm's correction.",
        _table(("backbone", "readout", "targets", "sparsity", "scores", "difference", "p", "verdict"), cells),
    ]


def _influence(intervals: pd.DataFrame, overlap: pd.DataFrame) -> list[str]:
    if overlap.empty and intervals["prune_source"].dropna().nunique() < 2:
        return []
    parts = ["## Does the pruning data matter?"]
    if len(overlap):
        found = overlap.groupby(["backbone", "score", "sparsity", "between"])["overlap"].mean().unstack()
        found = found.reindex(columns=["sources", "draws"])
        cells = [
            (*row.Index[:2], f"{row.Index[2]:g}", _number(row.sources), _number(row.draws))
            for row in found.itertuples()
        ]
        parts.append("Mean share of the kept weights that two masks have in common.")
        parts.append(_table(("backbone", "score", "sparsity", "two sources", "two draws of one source"), cells))
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
        parts.append(_table(("backbone", "score", "readout", "source", "target", "retention"), cells))
    return parts


def _safe(safe: pd.DataFrame) -> list[str]:
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
        "## Safe sparsity",
        "The largest sparsity tried of which it is shown, on the calibration images, that it loses at most "
        f"{100 * first.alpha:g} points of accuracy; the risk that this is wrong is at most {first.delta:g} a row. "
        "The accuracy lost is that on the other images. Violations: how often calibration sets drawn from all the test "
        f"images chose a sparsity that loses more; at most {first.delta:g} is promised.",
        _table((*names, "safe sparsity", "points lost", "violations"), cells),
    ]


def _predicted(predicted: pd.DataFrame) -> list[str]:
    if predicted.empty:
        return []
    cells = []
    for (backbone, score, role), rows in predicted.groupby(["backbone", "score", "role"]):
        error = rows["predicted_sparsity"] - rows["measured_sparsity"]
        means = rows[["rank_correlation", "predicted_sparsity", "measured_sparsity"]].mean().map(_number)
        cells.append((backbone, score, role, len(rows), *means, _number(error.abs().mean()), int((error > 0).sum())))
    names = ("backbone", "score", "targets", "cases", "rank correlation", "predicted", "measured", "mean error")
    return [
        "## Safe sparsity predicted from the scores alone",
        "Up to which sparsity the loss stays within the tolerance, by the sum of the scores of the pruned weights and "
        "as measured; means over cases, and in how many the prediction goes too far.",
        _table((*names, "too far"), cells),
    ]


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}"


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _table(names: tuple[str, ...], rows: Iterable[Iterable[object]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
