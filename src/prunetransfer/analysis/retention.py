"""Mean retention of a group of measurements, over its (source, target) pairs and seeds."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from prunetransfer.analysis.roles import judged, roles

PREFERRED = {"readout": "zero_shot", "mask": "global"}


def with_sources(accuracy: pd.DataFrame) -> pd.DataFrame:
    """The accuracy table with a column `source`: the dataset that the mask or the recovery saw.

    A data-free mask without recovery saw none; it is the same whatever the source. Each such row is repeated for every
    source of the table, with the role that a mask of this source has on the target, so that a data-free score is
    averaged over the same (source, target) pairs as the others. In a table without any source, `source` is null.
    Raises ValueError if the table mixes studies, masks or readouts: their means would mean nothing.
    """
    for column in ("study", "mask", "readout"):
        if accuracy[column].nunique() > 1:
            found = ", ".join(sorted(accuracy[column].unique()))
            raise ValueError(f"the accuracy table mixes {column} {found}; allowed is one at a time")
    frame = accuracy.assign(source=accuracy["prune_source"].fillna(accuracy["tuned_on"]))
    sources = frame["source"].dropna().unique()
    anyones = frame[frame["source"].isna()]
    if not len(sources):
        return frame
    repeated = pd.concat([anyones.assign(source=source) for source in sorted(sources)])
    shifted = set(anyones.loc[anyones["role"] == "shifted", "target"])
    repeated = repeated.assign(role=roles(repeated, ["source"], shifted))
    return pd.concat([frame[frame["source"].notna()], repeated], ignore_index=True)


def shown(frame: pd.DataFrame, every: Collection[str] = ()) -> pd.DataFrame:
    """The rows that figures and summary show, of those with a retention: of one readout and one entry of `masks`.

    They are those of PREFERRED where the table has them, else the first; of the columns `every` all values are shown.
    Shifted targets have a table and a figure of their own.
    """
    if "role" in frame:
        frame = judged(frame)
    for column, first in PREFERRED.items():
        if column in frame and column not in every:
            found = sorted(frame[column].unique(), key=lambda name: (name != first, name))
            frame = frame[frame[column].isin(found[:1])]
    return frame[frame["retention"].notna()] if "retention" in frame else frame


def mean_retention(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Columns `by`, then of each group: mean `retention`, `low` and `high`, the extreme (source, target) pairs.

    `frame` is what `with_sources` returns. Seeds are averaged first, so low and high show the spread over tasks alone.
    """
    pairs = frame.groupby(list(dict.fromkeys([*by, "source", "target"])), dropna=False)["retention"].mean()
    groups = pairs.groupby(level=by)
    return groups.agg(retention="mean", low="min", high="max").reset_index()


def at_sparsity(frame: pd.DataFrame, sparsity: float) -> pd.DataFrame:
    """The rows of one sparsity. Raises ValueError, naming those there are, if it has none."""
    rows = frame[(frame["sparsity"] - sparsity).abs() < 1e-9]
    if rows.empty:
        allowed = ", ".join(f"{value:g}" for value in sorted(frame["sparsity"].unique()))
        raise ValueError(f"no rows at sparsity {sparsity:g}; the table has {allowed}")
    return rows


def middle_sparsity(frame: pd.DataFrame) -> float:
    """The middle one of the table's sparsities, the upper where two are: what a figure of one sparsity shows."""
    sparsities = sorted(frame["sparsity"].unique())
    return float(sparsities[len(sparsities) // 2])


def last_passed(passed: dict[float, bool]) -> float | None:
    """The last sparsity before the first that did not pass; None if that is the first."""
    last = None
    for sparsity, good in passed.items():
        if not good:
            break
        last = sparsity
    return last
