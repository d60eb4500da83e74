"""The largest sparsity that is safe with a finite-sample guarantee, by Learn-then-Test on paired images.

The loss of an image at a sparsity is d = dense right − pruned right, one of −1, 0, 1; its mean is the accuracy lost.
"The mean is above α" is tested by betting against it, at the sparsities in growing order until one is not rejected:
testing in a fixed sequence needs no correction (Angelopoulos et al. 2021, arXiv 2110.01052). docs/method.md has the
formulas and what the guarantee rests on.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from prunetransfer.analysis.outcomes import KEY_COLUMNS
from prunetransfer.analysis.paired import Cell, check_pairs, mean_difference
from prunetransfer.analysis.retention import last_passed
from prunetransfer.storage.schemas.safe import SAFE_SPARSITY

ROUNDING = 1e-9
DRAWS = 200  # calibration sets that the check on the study's own images draws


def loss_p_value(dense: np.ndarray, pruned: np.ndarray, alpha: float, delta: float) -> float:
    """p-value of "pruning loses more than α of accuracy", valid at every number of images.

    dense, pruned: bool [n], whether the same images are classified right; the images are independent draws and stand
    in an order that does not depend on the outcomes. The bet of Waudby-Smith and Ramdas (JRSSB 86(1), 2024, section 4)
    on x = (d + 1) / 2 in [0, 1]: wealth Π (1 − λ_i (x_i − b)), b = (α + 1) / 2, its stakes λ_i made from the images
    before i and tuned to reject at δ. Under the null it is a supermartingale of mean 1, so by Ville's inequality the
    inverse of its largest value is a p-value. Raises ValueError for unpaired images and for α or δ outside (0, 1).
    """
    for name, value in {"α": alpha, "δ": delta}.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} is {value:g}; allowed is a number above 0 and below 1")
    check_pairs(dense, pruned)
    x, bound = (1.0 + dense - pruned) / 2, (1 + alpha) / 2
    seen = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (seen + 1)
    variances = (0.25 + np.cumsum((x - means) ** 2)) / (seen + 1)
    known = np.concatenate([[0.25], variances[:-1]])  # what is known before each image
    stakes = np.minimum(np.sqrt(2 * np.log(1 / delta) / (len(x) * known)), 0.99 / (1 - bound))
    wealth = np.cumsum(np.log1p(-stakes * (x - bound)))
    return float(np.exp(-max(0.0, wealth.max())))


def safe_sparsity(dense: np.ndarray, pruned: Mapping[float, np.ndarray], alpha: float, delta: float) -> float:
    """The largest sparsity that loses at most α of accuracy, but for a probability of at most δ; 0 if none is shown to.

    dense: bool [n]; pruned: sparsity → bool [n], the same images. "Loses" is about the population that the images were
    drawn from, the masks being given; the dense backbone (sparsity 0) loses nothing.
    """
    safe = 0.0
    for sparsity in sorted(pruned):
        if loss_p_value(dense, pruned[sparsity], alpha, delta) > delta:
            break
        safe = sparsity
    return safe


def measured_sparsity(dense: np.ndarray, pruned: Mapping[float, np.ndarray], alpha: float) -> float:
    """The largest sparsity up to which at most α of accuracy is lost on these images; 0 if it is at none."""
    lost = {sparsity: dense.mean() - pruned[sparsity].mean() for sparsity in sorted(pruned)}
    return last_passed({sparsity: value <= alpha + ROUNDING for sparsity, value in lost.items()}) or 0.0


def can_show(images: int, alpha: float, delta: float) -> bool:
    """Can so many images show a mask safe that changes no answer? If not, a safe sparsity of 0 says nothing."""
    right = np.ones(images, dtype=bool)
    return loss_p_value(right, right, alpha, delta) <= delta


def halves(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The calibration and the report half of `images` images: indices in random order, drawn with `seed`."""
    order = np.random.default_rng(seed).permutation(images)
    return order[: images // 2], order[images // 2 :]


def violation_rate(
    dense: np.ndarray, pruned: Mapping[float, np.ndarray], alpha: float, delta: float, draws: int, seed: int
) -> float:
    """How often the guarantee fails on real images: the share of draws whose safe sparsity loses more than α.

    The images at hand play the population, so its loss is known, and a calibration set of half as many is drawn from
    them with replacement, `draws` times. It should stay at or below δ within the error of `draws`.
    """
    rng = np.random.default_rng(seed)
    lost = {sparsity: dense.mean() - right.mean() for sparsity, right in pruned.items()} | {0.0: 0.0}
    failed = 0
    for _ in range(draws):
        drawn = rng.integers(len(dense), size=len(dense) // 2)
        found = safe_sparsity(dense[drawn], {s: right[drawn] for s, right in pruned.items()}, alpha, delta)
        failed += lost[found] > alpha + ROUNDING
    return failed / draws


def safe_table(outcomes: pd.DataFrame, alpha: float, delta: float, seed: int, confidence: float) -> pd.DataFrame:
    """Safe sparsity of each mask on each target (schema SAFE_SPARSITY): chosen on one half of the test images, the
    accuracy it loses reported on the other. `seed` draws the halves, the same for every criterion."""
    by = [name for name in KEY_COLUMNS if name != "sparsity"]
    rows = []
    for names, group in outcomes.groupby(by, dropna=False):
        name = dict(zip(by, names, strict=True))
        dense, pruned = group["dense"].iloc[0], dict(zip(group["sparsity"], group["correct"], strict=True))
        chosen_on, reported_on = halves(len(dense), seed)
        safe = safe_sparsity(dense[chosen_on], {s: right[chosen_on] for s, right in pruned.items()}, alpha, delta)
        lost = (0.0, 0.0, 0.0)  # the dense backbone
        if safe:
            cell = Cell(name["target"], name["seed"], pruned[safe][reported_on], dense[reported_on])
            found = mean_difference([cell], confidence)
            lost = (found.value, found.low, found.high)
        rows.append(
            name
            | {"alpha": alpha, "delta": delta, "confidence": confidence}
            | {"calibration_images": len(chosen_on), "report_images": len(reported_on)}
            | {"safe_sparsity": safe, "next_sparsity": min((s for s in pruned if s > safe), default=None)}
            | {"measured_sparsity": measured_sparsity(dense, pruned, alpha)}
            | dict(zip(("lost", "low", "high"), lost, strict=True))
            | {"violations": violation_rate(dense, pruned, alpha, delta, DRAWS, seed)}
        )
    return pd.DataFrame(rows, columns=SAFE_SPARSITY.names)
