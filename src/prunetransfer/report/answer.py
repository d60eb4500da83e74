"""The study's answer in a few sentences and two tables: how far each backbone can be pruned."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from prunetransfer.analysis.dense import left_out
from prunetransfer.analysis.recovered import AS_MADE
from prunetransfer.analysis.retention import shown, with_sources
from prunetransfer.analysis.safe import can_show
from prunetransfer.report.findings import Findings, told_role
from prunetransfer.report.pages import Block, Points, Table
from prunetransfer.report.pretrainings import pretraining_blocks
from prunetransfer.stages.jobs import STEPS

QUESTION = "How far can each backbone be pruned before the tasks that it has never seen suffer?"
WHOSE = {"transfer": "unseen tasks", "source": "the source"}  # role → in words
PRUNED = {"Pruned without recovery": "none", "Pruned in steps, with recovery between them": STEPS}
CHANGED = {"improved": "improves", "harmed": "harms", "mixed": "shows no effect on"}


def answer(found: Findings) -> list[Block]:
    """What every page begins with: the headline, what was left out, a few sentences a backbone, their numbers."""
    blocks = [*pretraining_blocks(found.pretrainings, found.pretraining_comparisons)]
    blocks += [*headline(found), *left_out(found.dense)]
    if len(found.verdicts):
        blocks += [Points(sentences(found)), _numbers(found), *_recoveries(found)]
    return blocks


def least_safe(safe: pd.DataFrame, role: str = "transfer") -> pd.DataFrame:
    """Columns backbone, mask, score, recovery, safe_sparsity, measured_sparsity: the least of sources, targets, seeds.

    safe: a table of schema SAFE_SPARSITY; a data-free mask counts once for every source. Up to the least safe one, the
    tests of all cells were rejected; the union of their null hypotheses is tested by its largest p-value, so the least
    holds for all cells at once, still at δ.
    """
    frame = with_sources(shown(safe))
    of_role = frame[frame["role"] == role]
    least = of_role.groupby(["backbone", "mask", "score", "recovery"])[["safe_sparsity", "measured_sparsity"]].min()
    return least.reset_index()


def headline(found: Findings) -> list[str]:
    """The safe sparsity of every backbone and score without recovery in one sentence; none without transfer targets.

    Further sentences say where only the number of images keeps more from being shown, and how far masks made in steps
    go.
    """
    safe, told = found.safe_sparsity, []
    for how, recovery in PRUNED.items():
        if stated := _by_backbone(found, safe, recovery):
            told.append(f"{how}{'' if told else _promise(safe)}: {stated}.")
    if not told:
        return []
    sizes = safe[safe["role"] == "transfer"].groupby("target")["calibration_images"].first()
    small = [target for target, images in sizes.items() if not can_show(images, *safe[["alpha", "delta"]].iloc[0])]
    others = _by_backbone(found, safe[~safe["target"].isin(small)])
    if small and others:
        named = ", ".join(f"{target} ({sizes[target]} images)" for target in small)
        told.append(
            "Too few images to show even a mask safe that changes no answer: "
            f"{named}. On the other unseen tasks: {others}."
        )
    more = [f"{name} {_up_to(farther)}" for name, least in _bare(found, safe).items() if (farther := _unshown(least))]
    if more:
        images = f"{sizes.min():g}" if sizes.nunique() == 1 else f"{sizes.min():g} to {sizes.max():g}"
        told.append(
            f"{images} calibration images a task cannot show more. On all test images, which may be chance, no unseen "
            f"task loses more than that: {'; '.join(more)}."
        )
    return told


def _promise(safe: pd.DataFrame) -> str:
    first = safe.iloc[0]
    return (
        f", no unseen task loses more than {100 * first.alpha:g} percentage points of accuracy, "
        f"with probability {1 - first.delta:.0%} for each number"
    )


def _bare(found: Findings, safe: pd.DataFrame, recovery: str = "none") -> dict[str, pd.DataFrame]:
    """Backbone → its rows of `least_safe` with that recovery, the best score first."""
    least = found.best_first(least_safe(safe))
    return dict(iter(least[least["recovery"] == recovery].groupby("backbone")))


def _by_backbone(found: Findings, safe: pd.DataFrame, recovery: str = "none") -> str:
    return "; ".join(
        f"{name} {_up_to(_values(least, 'safe_sparsity'), unshown=set(_unshown(least)))}"
        for name, least in _bare(found, safe, recovery).items()
    )


def _unshown(least: pd.DataFrame) -> dict[str, float]:
    """Score → the measured sparsity, where it is farther than the safe one."""
    return _values(least[least["measured_sparsity"] > least["safe_sparsity"]], "measured_sparsity")


def sentences(found: Findings) -> list[str]:
    """P1, what recoveries add to it and to the headline, and P2: one text a backbone."""
    least, texts = found.best_first(least_safe(found.safe_sparsity)), []
    kept = told_role(shown(found.retention))
    for name, rows in found.best_first(shown(found.verdicts)).groupby("backbone"):
        told = [*_kept(rows), *_gained(kept[kept["backbone"] == name])]
        told += [*_recovered(least[least["backbone"] == name]), *_changed(rows)]
        texts.append(f"{name}: {' '.join(told)}")
    return texts


def _numbers(found: Findings) -> Table:
    verdicts, least = found.best_first(shown(found.verdicts)), least_safe(found.safe_sparsity)
    safe = least[least["recovery"].isin(AS_MADE)].set_index(["backbone", "score"])["safe_sparsity"]
    rows = []
    for name, of_score in verdicts.groupby(["backbone", "score"], sort=False):
        kept = of_score[of_score["prediction"] == "P1"].set_index("role")
        changed = [f"{row.verdict}, {100 * row.change:+.1f}" for row in of_score.itertuples() if row.prediction == "P2"]
        by_role = [
            f"{kept['verdict'][role]}, {_sparsity(kept['sustained_sparsity'][role])}" if role in kept.index else "-"
            for role in ("source", "transfer")
        ]
        rows.append((*name, _sparsity(safe[name]) if name in safe else "-", *by_role, "; ".join(changed) or "-"))
    names = (
        "backbone",
        "score",
        "safe on unseen tasks",
        "P1, source",
        "P1, unseen tasks",
        "P2, percentage points gained",
    )
    return Table(names, rows)


def _recoveries(found: Findings) -> list[Block]:
    """What the best score keeps at each sparsity, without and after each recovery; nothing without recoveries."""
    kept = told_role(shown(found.retention))
    if set(kept["recovery"]) <= {"none"}:
        return []
    sparsities, rows = sorted(kept["sparsity"].unique()), []
    best = kept.sort_values("retention").groupby(["backbone", "recovery", "sparsity"]).last()
    lines = best.index.droplevel("sparsity").unique()
    for name in sorted(lines, key=lambda line: (line[0], line[1] != "none", line[1])):
        at = best.loc[name]
        rows.append(
            (*name, *(f"{at['retention'][s]:.2f} {at['score'][s]}" if s in at.index else "-" for s in sparsities))
        )
    return [
        f"Mean retention on {WHOSE[kept['role'].iloc[0]]} at each sparsity, by the score that keeps most there, before "
        "and after each recovery.",
        Table(("backbone", "recovery", *(f"{sparsity:g}" for sparsity in sparsities)), rows),
    ]


def _kept(rows: pd.DataFrame) -> list[str]:
    kept = rows[rows["prediction"] == "P1"]
    found = {role: _up_to(_values(of_role, "sustained_sparsity")) for role, of_role in kept.groupby("role", sort=False)}
    where = [f"on {name} {found[role]}" for role, name in WHOSE.items() if role in found]
    return [f"Mean retention is at least {1 - kept['tolerance'].iloc[0]:g} {'; '.join(where)}."] if where else []


def _gained(kept: pd.DataFrame) -> list[str]:
    """Where each recovery raises mean retention most. kept: rows of RETENTION of one backbone and role."""
    same = ["score", "sparsity"]
    pairs = kept[kept["recovery"] != "none"].merge(kept[kept["recovery"] == "none"], on=same, suffixes=("", "_bare"))
    # Means over other (source, target) pairs tell nothing: what reads labels is not tried on a source without.
    pairs = pairs[pairs["cases"] == pairs["cases_bare"]]
    pairs = pairs.assign(gain=pairs["retention"] - pairs["retention_bare"]).sort_values("gain", ascending=False)
    most = pairs[pairs["gain"] > 0].drop_duplicates("recovery")
    told = [
        f"{row.recovery} from {_interval(row.retention_bare, row.low_bare, row.high_bare)} to "
        f"{_interval(row.retention, row.low, row.high)} at sparsity {row.sparsity:g} ({row.score})"
        for row in most.itertuples()
    ]
    role = f" on {WHOSE[kept['role'].iloc[0]]}" if told else ""
    return [f"A recovery raises mean retention{role}, where it gains most: {'; '.join(told)}."] if told else []


def _recovered(least: pd.DataFrame) -> list[str]:
    bare = _values(least[least["recovery"].isin(AS_MADE)], "safe_sparsity")
    found = []
    for recovery, rows in least[~least["recovery"].isin(AS_MADE)].groupby("recovery"):
        farther = {s: value for s, value in _values(rows, "safe_sparsity").items() if value > bare.get(s, 0)}
        if farther:
            found.append(f"{recovery} {_up_to(farther)}")
    return [f"Safe after a recovery, where that is farther: {'; '.join(found)}."] if found else []


def _changed(rows: pd.DataFrame) -> list[str]:
    found = []
    for verdict, verb in CHANGED.items():
        tuned = rows[rows["verdict"] == verdict].sort_values("change", ascending=False)
        points = ", ".join(f"{_tuned(row)} {100 * row.change:+.1f}" for row in tuned.itertuples())
        found += [f"{verb} unseen tasks ({points} percentage points)"] if points else []
    return [f"Fine-tuning on the source {' and '.join(found)}."] if found else []


def _tuned(row: object) -> str:
    return row.score if row.recovery == row.method else f"{row.score} + {row.recovery}"


def _values(rows: pd.DataFrame, column: str) -> dict[str, float]:
    return dict(zip(rows["score"], rows[column], strict=True))


def _up_to(values: Mapping[str, float], unshown: set[str] = frozenset()) -> str:
    """`{a: 0.5, b: 0.0, c: 0.5}` → `up to sparsity 0.5 (a, c), at none tried (b)`.

    unshown: scores at 0 because of the number of images alone.
    """
    scores: dict[float, list[str]] = {}
    for name, value in sorted(values.items(), key=lambda entry: -entry[1]):
        scores.setdefault(value, []).append(name)
    none = scores.pop(0.0, [])
    parts = [f"{value:g} ({', '.join(names)})" for value, names in scores.items()]
    found = [f"up to sparsity {', '.join(parts)}"] if parts else []
    for said, names in {
        "at none that so few images can show": [name for name in none if name in unshown],
        "at none tried": [name for name in none if name not in unshown],
    }.items():
        found += [f"{said} ({', '.join(names)})"] if names else []
    return ", ".join(found)


def _sparsity(value: float) -> str:
    return f"{value:g}" if value else "none"


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
