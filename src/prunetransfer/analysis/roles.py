"""Roles: did the mask or the recovery of a measurement see images of the target's dataset?

That goes by where the images come from (`prunetransfer.datasets.origins`), not by what the datasets are called: the
column `own_sources` of each target names the datasets among the sources of the study that show the same images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from prunetransfer.stages.sequences import datasets_of

ROLES = ("source", "transfer")


def with_roles(frame: pd.DataFrame, own_sources: Mapping[str, Sequence[str]], of: str = "target") -> pd.DataFrame:
    """The rows with the columns `own_sources` and `role`, as the tables have them.

    frame: columns `prune_source`, `of` and, where anything was recovered, `tuned_on`; own_sources: what stands in
    column `of` → the sources that show its images, none of them a sequence.
    """
    named = {name: "+".join(sources) or None for name, sources in own_sources.items()}
    frame = frame.assign(own_sources=pd.Series([named[name] for name in frame[of]], frame.index, dtype=object))
    return frame.assign(role=roles(frame, [name for name in ("prune_source", "tuned_on") if name in frame]))


def roles(frame: pd.DataFrame, saw: Sequence[str]) -> list[str]:
    """The role of each row. frame: column `own_sources`; saw: its columns of sources that were seen, null for none."""
    own = [set(names.split("+")) if isinstance(names, str) else set() for names in frame["own_sources"]]
    seen = zip(*(frame[column] for column in saw), strict=True)
    return ["source" if names & _datasets(used) else "transfer" for names, used in zip(own, seen, strict=True)]


def _datasets(sources: Sequence[str | None]) -> set[str]:
    """Those of each source that is there: a sequence has several."""
    return {name for source in sources if isinstance(source, str) for name in datasets_of(source)}
