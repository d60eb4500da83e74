"""What the same images tell before and after: changes of accuracy with intervals and exact tests. Arrays alone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

# One pseudo-image of weight ½ for each (before, after) outcome keeps an interval from having no width where no image
# changed sides (Agresti & Min, Statistics in Medicine 24, 2005, for the difference; the ratio takes the same).
PSEUDO = np.array([[False, False, True, True], [False, True, False, True]])


@dataclass(frozen=True)
class Cell:
    """bool [n], is each image classified right before and after; cells of one target share images in one order."""

    target: str
    seed: int
    before: np.ndarray
    after: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A mean, its confidence interval, and the two-sided p-value of "there is no change"."""

    value: float
    low: float
    high: float
    p_value: float


def check_pairs(before: np.ndarray, after: np.ndarray) -> None:
    """Raises ValueError unless both say of the same, at least one, images whether they are classified right."""
    if before.dtype != bool or after.dtype != bool:
        raise ValueError(f"outcomes are {before.dtype} and {after.dtype}; allowed is bool")
    if before.shape != after.shape or before.ndim != 1 or not before.size:
        raise ValueError(f"outcomes of shapes {before.shape} and {after.shape} are not pairs of the same images")


def mean_difference(cells: Iterable[Cell], confidence: float) -> Estimate:
    """Mean over cells of the accuracy after minus before."""
    return _mean(list(cells), _difference, 0.0, confidence)


def mean_ratio(cells: Iterable[Cell], confidence: float) -> Estimate:
    """Mean over cells of the accuracy after over before (retention). Raises ValueError if none was right before."""
    cells = list(cells)
    for cell in cells:
        if not cell.before.any():
            raise ValueError(f"target {cell.target}: no image was right before, so there is nothing to retain")
    return _mean(cells, _ratio, 1.0, confidence)


def _difference(before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> tuple[float, np.ndarray]:
    change = after - before
    value = np.average(change, weights=weight)
    return value, change - value


def _ratio(before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> tuple[float, np.ndarray]:
    dense = np.average(before, weights=weight)
    value = np.average(after, weights=weight) / dense
    return value, (after - value * before) / dense


def _mean(cells: Sequence[Cell], statistic, unchanged: float, confidence: float) -> Estimate:
    """Delta method: each image's influence on the mean, summed over the cells of its target before it is squared.

    So a target that many cells share counts as one draw of images, not many. Where there are several seeds, the
    variance of their means is added (images and seeds are drawn apart), with Welch's degrees of freedom. Targets and
    sources are the study's own, not draws from a population of tasks.
    """
    influence: dict[str, np.ndarray] = {}
    by_seed, values = defaultdict(list), []
    for cell in cells:
        check_pairs(cell.before, cell.after)
        plain = cell.before.astype(float), cell.after.astype(float)
        before, after = (np.concatenate(both) for both in zip(plain, PSEUDO, strict=True))
        weight = np.concatenate([np.ones(cell.before.size), np.full(4, 0.5)])
        value, own = statistic(before, after, weight)
        by_seed[cell.seed].append(value)
        values.append(statistic(*plain, weight[:-4])[0])
        influence[cell.target] = influence.get(cell.target, 0) + np.sqrt(weight) * own / weight.sum() / len(cells)
    images = sum(float(np.sum(total**2)) for total in influence.values())
    means = np.array([np.mean(of_seed) for of_seed in by_seed.values()])
    seeds = means.var(ddof=1) / len(means) if len(means) > 1 else 0.0
    freedom = (images + seeds) ** 2 / (seeds**2 / (len(means) - 1)) if seeds else math.inf
    centre, error = float(np.mean([v for of_seed in by_seed.values() for v in of_seed])), math.sqrt(images + seeds)
    reach = stats.t.ppf((1 + confidence) / 2, freedom) * error
    p_value = 2 * stats.t.sf(abs(centre - unchanged) / error, freedom)
    return Estimate(float(np.mean(values)), centre - reach, centre + reach, float(p_value))


def mcnemar(before: np.ndarray, after: np.ndarray) -> tuple[int, int, float]:
    """Images gained, images lost, and the exact two-sided p-value of "as many are gained as lost" (McNemar 1947).

    Given that an image changed sides, either side is as likely under the null: a binomial test. Images of several
    targets may stand one after the other; sums of such binomials are binomial.
    """
    check_pairs(before, after)
    gained, lost = int(np.count_nonzero(after & ~before)), int(np.count_nonzero(before & ~after))
    return gained, lost, stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0


def holm(p_values: Sequence[float]) -> np.ndarray:
    """p-values adjusted for being many, step-down (Holm 1979, Scand. J. Statist. 6): reject where they are ≤ α."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)))
    return adjusted
