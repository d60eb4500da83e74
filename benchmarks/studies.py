"""What a finished study has measured, image by image."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from prunetransfer.analysis.outcomes import read_outcomes
from prunetransfer.stages.jobs import STEPS
from prunetransfer.storage.schemas.dense import DENSE
from prunetransfer.storage.tables import read_table


def outcomes_of(study: Path) -> pd.DataFrame:
    """Which test images each pruned backbone classifies right through frozen heads, all seeds; study: its folder below
    results."""
    accuracy = pd.read_parquet(study / "tables/accuracy.parquet")
    own = accuracy.drop_duplicates("target").set_index("target")["own_sources"]
    outcomes = read_outcomes(
        sorted((study / "evaluations").rglob("*.predictions.parquet")),
        read_table(study / "tables/dense.parquet", DENSE),
        accuracy["study"].iloc[0],
        sorted(accuracy["seed"].unique()),
        {"none": "none"} | dict(zip(accuracy["recovery"], accuracy["method"], strict=True)),
        {target: [] if pd.isna(names) else names.split("+") for target, names in own.items()},
        in_steps=accuracy.loc[accuracy["recovery"] == STEPS, "score"].unique(),
    )
    return outcomes[outcomes["readout"] == "zero_shot"]
