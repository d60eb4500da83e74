"""Roles: did the mask or the recovery of a measurement see images of the target's dataset?

That goes by where the images come from (`prunetransfer.datasets.origins`), not by what the datasets are called: the
column `own_sources` of each target names the datasets among the sources of the study that show the same images. A
target whose test pixels a view changes is a condition of another target and no task of its own: it is `shifted`, and
counts in no mean of the other roles.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from prunetransfer.stages.sequences import datasets_of

ROLES = ("source", "transfer")  # that means and verdicts are about; the third is `shifted`


def with_roles(
    frame: pd.DataFrame, own_sources: Mapping[str, Sequence[str]], of: str = "target", shifted: Collection[str] = ()
) -> pd.DataFrame:
    """The rows with the columns `own_sources` and `role`, as the tables have them.

    frame: columns `prune_source`, `of` and, where anything was recovered, `tuned_on`; own_sources: what stands in
    column `of` → the datasets of sources that show its images; shifted: the targets of
    `prunetransfer.datasets.seen.shifts`.
    """
    named = {name: "+".join(sources) or None for name, sources in own_sources.items()}
    frame = frame.assign(own_sources=pd.Series([named[name] for name in frame[of]], frame.index, dtype=object))
    saw = [name for name in ("prune_source", "tuned_on") if name in frame]
    return frame.assign(role=roles(frame, saw, shifted, of))


def roles(frame: pd.DataFrame, saw: Sequence[str], shifted: Collection[str] = (), of: str = "target") -> list[str]:
    """The role of each row. frame: columns `of`, `own_sources`; saw: its columns of sources that were seen, null for
    none. A shifted target is `source` where it was seen itself."""
    own = [set(names.split("+")) if isinstance(names, str) else set() for names in frame["own_sources"]]
    rows = zip(frame[of], own, zip(*(frame[column] for column in saw), strict=True), strict=True)
    return [_role(name in shifted, name, names, _datasets(seen)) for name, names, seen in rows]


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that means and verdicts are about: those of source and of transfer targets."""
    return frame[frame["role"].isin(ROLES)]


def _role(is_shifted: bool, target: str, own: set[str], seen: set[str]) -> str:
    if is_shifted and target not in seen:
        return "shifted"
    return "source" if own & seen else "transfer"


def _datasets(sources: Sequence[str | None]) -> set[str]:
    """Those of each source that is there: a sequence has several."""
    return {name for source in sources if isinstance(source, str) for name in datasets_of(source)}
