"""The study's results in plain text, for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import pandas as pd

from prunetransfer.analysis.dense import left_out
from prunetransfer.analysis.retention import mean_retention, shown, with_sources
from prunetransfer.analysis.roles import ROLES
from prunetransfer.analysis.verdicts import sustained_sparsities
from prunetransfer.report.answer import QUESTION, headline, least_safe, sentences
from prunetransfer.report.findings import Findings
from prunetransfer.report.pretrainings import QUESTION as WHICH_PRETRAINING
from prunetransfer.report.pretrainings import pretraining_sentences
from prunetransfer.stages.jobs import STEPS

WIDTH = 110  # characters a line


def summarise(accuracy: pd.DataFrame, found: Findings) -> str:
    """Mean retention, the verdicts on P1 and P2, what recoveries keep, safe sparsities; last, where a terminal stops
    scrolling, the answer.

    accuracy: a table of the schema ACCURACY. No line says more than the tables do.
    """
    frame, verdicts = with_sources(shown(accuracy)), shown(found.verdicts)
    if frame.empty:
        return _wrapped(left_out(found.dense)) + "\n"
    parts = [_heading(frame), *_retention(frame), _kept(verdicts, frame["sparsity"]), _changed(verdicts)]
    parts += [_recovered(frame, verdicts["tolerance"].max()), _safe(found.safe_sparsity), _answer(found)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _answer(found: Findings) -> str:
    pretrained = pretraining_sentences(found.pretrainings, found.pretraining_comparisons)
    texts = [WHICH_PRETRAINING, *pretrained] if pretrained else []
    return _wrapped([*texts, QUESTION, *headline(found), *left_out(found.dense), *sentences(found)])


def _wrapped(texts: Iterable[str]) -> str:
    return "\n".join(textwrap.fill(text, WIDTH, break_on_hyphens=False) for text in texts)


def _safe(safe: pd.DataFrame) -> str:
    """The guaranteed safe sparsity of every recovery: a line a backbone and score."""
    if safe.empty:
        return ""
    alpha, delta = safe["alpha"].iloc[0], safe["delta"].iloc[0]
    lost = f"at most {100 * alpha:g} percentage points lost on any unseen task, at risk {delta:g}"
    lines = _by_recovery(least_safe(safe), ["backbone", "score"], "safe_sparsity")
    return "\n".join([f"Safe sparsity: {lost} (0: not at the lowest one tried)", *lines])


def _heading(frame: pd.DataFrame) -> str:
    scope = f"{_count(frame['target'].nunique(), 'target')}, {_count(frame['seed'].nunique(), 'seed')}"
    lines = [
        f"Study {frame['study'].iloc[0]}: retention, top-1 accuracy over that of the dense backbone ({scope}).",
        "source: targets that the mask or the fine-tuning saw; transfer: targets that neither saw.",
    ]
    data_free = sorted(frame["score"][frame["prune_source"].isna()].unique())
    if data_free and frame["source"].notna().any():
        lines.append(f"{', '.join(data_free)}: data-free, so one mask is counted once for every source.")
    return "\n".join(lines)


def _retention(frame: pd.DataFrame) -> list[str]:
    """One block of lines a backbone: a line a role, score and recovery, a column a sparsity."""
    means = mean_retention(frame, by=["backbone", "role", "score", "recovery", "sparsity"])
    means["line"] = means["score"].where(means["recovery"] == "none", means["score"] + " + " + means["recovery"])
    width = means["line"].str.len().max()
    sparsities = sorted(means["sparsity"].unique())
    blocks = []
    for backbone, of_backbone in means.groupby("backbone"):
        head = "".join(f"{sparsity:>7g}" for sparsity in sparsities)
        lines = [backbone, f"  {'sparsity':<{width + 10}}{head}"]
        for role in ROLES:
            for line, cells in of_backbone[of_backbone["role"] == role].groupby("line"):
                found = cells.set_index("sparsity")["retention"]
                values = "".join(f"{found[s]:>7.3f}" if s in found else f"{'-':>7}" for s in sparsities)
                lines.append(f"  {role:<10}{line:<{width}}{values}")
        blocks.append("\n".join(lines))
    return blocks


def _kept(verdicts: pd.DataFrame, sparsities: pd.Series) -> str:
    rows = verdicts[verdicts["prediction"] == "P1"]
    lines = []
    for name, row in _named(rows):
        found = {
            "holds": f"at every sparsity tried, up to {sparsities.max():g}",
            "partly": f"up to sparsity {row.sustained_sparsity:g}",
            "fails": f"not at {sparsities.min():g}, the lowest sparsity tried",
        }[row.verdict]
        found += f", assured up to {row.assured_sparsity:g}" if row.assured_sparsity else ", assured at none"
        found += ", recovered in steps" if row.recovery == STEPS else ""
        lines.append(f"  {name}  {row.role:<9} {row.verdict:<9} {found}")
    bound = f"mean retention at least {1 - rows['tolerance'].max():g}"
    return "\n".join([f"P1: does pruning alone keep accuracy? ({bound})", *lines]) if lines else ""


def _recovered(frame: pd.DataFrame, tolerance: float) -> str:
    """The sustained sparsity of every recovery: a line a backbone, role and score."""
    if set(frame["recovery"]) == {"none"}:
        return ""
    sustained = sustained_sparsities(frame, tolerance)
    lines = _by_recovery(sustained, ["backbone", "role", "score"], "sustained_sparsity")
    title = f"Up to which sparsity, of those tried with it, does each recovery keep {1 - tolerance:g}? (0: at none)"
    return "\n".join([title, *lines])


def _by_recovery(frame: pd.DataFrame, by: list[str], column: str) -> list[str]:
    """`  vit  block      none 0.1, finetune 0`: a line a group."""
    widths = [frame[name].str.len().max() for name in by]
    lines = []
    for names, rows in frame.groupby(by):
        found = rows.set_index("recovery")[column]
        told = (f"{name} {found[name]:g}" for name in sorted(found.index, key=lambda name: (name != "none", name)))
        padded = "  ".join(f"{name:<{width}}" for name, width in zip(names, widths, strict=True))
        lines.append(f"  {padded}  {', '.join(told)}")
    return lines


def _changed(verdicts: pd.DataFrame) -> str:
    rows = verdicts[verdicts["prediction"] == "P2"]
    lines = []
    for name, row in _named(rows):
        change = f"{100 * row.change:+.1f} [{100 * row.low:+.1f}, {100 * row.high:+.1f}]"
        found = f"{change} over {_count(row.cases, 'pair')}, {row.fell:.0f} fell"
        found += "" if row.recovery == row.method else f" ({row.recovery})"
        lines.append(f"  {name}  {row.role:<9} {row.verdict:<9} {found}")
    title = "P2: does fine-tuning on the source improve transfer accuracy? (change in percentage points [interval])"
    return "\n".join([title, *lines]) if lines else ""


def _named(rows: pd.DataFrame) -> Iterable[tuple[str, Any]]:
    """Each row with its backbone and score, padded to line up."""
    widths = rows["backbone"].str.len().max(), rows["score"].str.len().max()
    for row in rows.itertuples():
        yield f"{row.backbone:<{widths[0]}}  {row.score:<{widths[1]}}", row


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
