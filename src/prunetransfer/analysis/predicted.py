"""The loss increase that the scores predict, before any evaluation, beside the one that was measured.

A score is the Taylor estimate of the loss increase when one weight goes, so their sum over the pruned weights is that
of the mask, the weights taken as independent. `magnitude` stands for a Hessian of one, so its sum has no unit of loss
and only its order means something.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from prunetransfer.pruning.masks import Mask
from prunetransfer.storage.schemas.safe import PREDICTED_LOSS, PREDICTED_SAFE

KEY = ["backbone", "score", "prune_source", "mask", "sparsity", "seed"]


def predicted_increase(scores: Mapping[str, np.ndarray], mask: Mask) -> float:
    """Sum of the scores of the weights that the mask prunes, in float64. Raises KeyError for a layer without scores."""
    return float(sum(scores[name][~keep].sum(dtype=np.float64) for name, keep in mask.items()))


def predicted_losses(predicted: pd.DataFrame, accuracy: pd.DataFrame) -> pd.DataFrame:
    """Each prediction beside what each target measured without recovery (schema PREDICTED_LOSS).

    predicted: columns backbone, score, prune_source, mask, sparsity, seed, predicted. Readouts without a loss have
    no rows, nor have targets without a retention. There may be no prediction: masks of sequences have none.
    """
    measured = accuracy[(accuracy["recovery"] == "none") & accuracy["loss"].notna() & accuracy["retention"].notna()]
    rows = measured.merge(predicted.astype(accuracy.dtypes[KEY]), on=KEY)
    return rows.assign(measured=rows["loss"] - rows["dense_loss"])[PREDICTED_LOSS.names]


def predicted_safe(losses: pd.DataFrame, accuracy: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Predicted and measured safe sparsity in terms of loss (schema PREDICTED_SAFE), a row a criterion and target.

    losses: of `predicted_losses`. A sparsity is safe where the loss rises by at most τ × the dense loss of the target
    there and at every lower one of the study; 0 if it is at none.
    """
    by = [name for name in PREDICTED_SAFE.names if name in PREDICTED_LOSS.names]
    dense = accuracy.groupby(["backbone", "target", "readout"])["dense_loss"].first()
    rows = []
    for names, group in losses.sort_values("sparsity").groupby(by, dropna=False):
        name = dict(zip(by, names, strict=True))
        allowed = tolerance * dense[name["backbone"], name["target"], name["readout"]]
        varied = group["predicted"].nunique() > 1 and group["measured"].nunique() > 1
        about = {"rank_correlation": spearmanr(group["predicted"], group["measured"]).statistic if varied else None}
        for kind in ("predicted", "measured"):
            kept = (group[kind] <= allowed).cummin()
            about[f"{kind}_sparsity"] = group["sparsity"][kept].max() if kept.any() else 0.0
        rows.append(name | about | {"allowed": allowed})
    return pd.DataFrame(rows, columns=PREDICTED_SAFE.names)
