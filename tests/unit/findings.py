"""The tables that pages answer from, made of outcomes, or empty."""

from __future__ import annotations

import pandas as pd

from prunetransfer.analysis.comparisons import mean_retentions
from prunetransfer.analysis.pretrainings import compare_pretrainings, grouped, pretraining_retentions
from prunetransfer.analysis.safe import safe_table
from prunetransfer.analysis.verdicts import judge
from prunetransfer.report.findings import Findings
from prunetransfer.storage.schemas.registry import TABLES


def empty(*names: str) -> dict[str, pd.DataFrame]:
    return {name: pd.DataFrame(columns=TABLES[name].names) for name in names}


def no_findings(**tables: pd.DataFrame) -> Findings:
    names = ("verdicts", "safe_sparsity", "retention", "dense", "pretrainings", "pretraining_comparisons")
    return Findings(**empty(*names) | tables)


def findings(outcomes: pd.DataFrame, labels=None, **tables: pd.DataFrame) -> Findings:
    """All that is judged by the study's defaults; labels: as for `grouped`; tables: given instead."""
    alike = grouped(outcomes, labels or {})
    made = {
        "verdicts": judge(outcomes, 0.05, 0.95),
        "safe_sparsity": safe_table(outcomes, alpha=0.05, delta=0.1, seed=0, confidence=0.95),
        "retention": mean_retentions(outcomes, 0.95),
        "pretrainings": pretraining_retentions(alike, 0.95),
        "pretraining_comparisons": compare_pretrainings(alike, 0.95),
    }
    return no_findings(**made | tables)
