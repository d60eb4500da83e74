"""What every seed shares: nothing of a data-free mask is drawn at random, so without recovery it is measured once."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


def with_seeds(frame: pd.DataFrame, seeds: Sequence[int]) -> pd.DataFrame:
    """The frame with each row of a data-free mask without recovery once for every seed of the study.

    frame: columns prune_source and seed, and recovery where anything was recovered. A seed then has a row of every
    score, so that scores and recoveries pair within it, and a shared measurement has no variance between seeds.
    """
    shared = frame["prune_source"].isna()
    if "recovery" in frame:
        shared &= frame["recovery"].eq("none")
    own = zip(shared, frame["seed"], strict=True)
    repeated = pd.Series([list(seeds) if every else [seed] for every, seed in own], frame.index, dtype=object)
    return frame.assign(seed=repeated).explode("seed", ignore_index=True).astype({"seed": "int64"})
