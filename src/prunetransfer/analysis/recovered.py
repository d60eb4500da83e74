"""What was done to the weights that a mask keeps, as tables say it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from prunetransfer.stages.jobs import STEPS

AS_MADE = ("none", STEPS)  # what the making of a mask leaves


def with_methods(frame: pd.DataFrame, methods: Mapping[str, str], in_steps: Collection[str]) -> pd.DataFrame:
    """The rows with the column `method`, those of masks made in steps with `steps` in place of the recovery `none`.

    frame: columns score, prune_source, recovery, tuned_on, as jobs are named; methods: what each recovery does;
    in_steps: the scores whose masks are made in steps, recovered on images of their source.
    """
    made = frame["score"].isin(in_steps) & (frame["recovery"] == "none")
    return frame.assign(
        recovery=frame["recovery"].mask(made, STEPS),
        method=frame["recovery"].map(methods).mask(made, STEPS),
        tuned_on=frame["tuned_on"].mask(made, frame["prune_source"]),
    )
