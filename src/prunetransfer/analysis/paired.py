"""What the same images tell before and after: changes of accuracy with intervals and exact tests. Arrays alone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import stats

# Pseudo-images, one for each possible outcome, keep an interval from having no width where no image changed sides. They
# weigh this much together, so ½ for each (before, after): Agresti & Min, Statistics in Medicine 24, 2005, for the
# difference; the ratio takes the same, and so does each of two retentions that are compared.
PSEUDO_WEIGHT = 2.0


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
    return _mean(_draws(cells), _difference, 0.0, confidence)


def mean_ratio(cells: Iterable[Cell], confidence: float) -> Estimate:
    """Mean over cells of the accuracy after over before (retention). Raises ValueError if none was right before."""
    for cell in (cells := list(cells)):
        _check_retention(cell)
    return _mean(_draws(cells), _ratio, 1.0, confidence)


def retention_difference(pairs: Iterable[tuple[Cell, Cell]], confidence: float) -> Estimate:
    """Mean over pairs of the retention in the first cell minus that in the second; both saw the same images.

    The two cells of a pair have target and seed in common. Raises ValueError if in one none was right before.
    """
    draws = []
    for first, second in pairs:
        _check_retention(first)
        _check_retention(second)
        check_pairs(first.before, second.before)
        draws.append(_Draw(first.target, first.seed, (first.before, first.after, second.before, second.after)))
    return _mean(draws, _ratio_difference, 0.0, confidence)


def _check_retention(cell: Cell) -> None:
    if not cell.before.any():
        raise ValueError(f"target {cell.target}: no image was right before, so there is nothing to retain")


@dataclass(frozen=True)
class _Draw:
    """bool [n] each: what the images of one target answered, under every condition that a statistic compares."""

    target: str
    seed: int
    outcomes: tuple[np.ndarray, ...]


def _draws(cells: Iterable[Cell]) -> list[_Draw]:
    for cell in (cells := list(cells)):
        check_pairs(cell.before, cell.after)
    return [_Draw(cell.target, cell.seed, (cell.before, cell.after)) for cell in cells]


def _difference(weight: np.ndarray, before: np.ndarray, after: np.ndarray) -> tuple[float, np.ndarray]:
    """The statistic and each image's influence on it, as the next two."""
    change = after - before
    value = np.average(change, weights=weight)
    return value, change - value


def _ratio(weight: np.ndarray, before: np.ndarray, after: np.ndarray) -> tuple[float, np.ndarray]:
    dense = np.average(before, weights=weight)
    value = np.average(after, weights=weight) / dense
    return value, (after - value * before) / dense


def _ratio_difference(weight: np.ndarray, *outcomes: np.ndarray) -> tuple[float, np.ndarray]:
    (value, influence), (other, others) = _ratio(weight, *outcomes[:2]), _ratio(weight, *outcomes[2:])
    return value - other, influence - others


def _mean(draws: Sequence[_Draw], statistic: Callable, unchanged: float, confidence: float) -> Estimate:
    """Delta method: each image's influence on the mean, summed over the draws of its target before it is squared.

    So a target that many cells share counts as one draw of images, not many. Where there are several seeds, the
    variance of their means is added (images and seeds are drawn apart), with Welch's degrees of freedom. Targets and
    sources are the study's own, not draws from a population of tasks.
    """
    influence: dict[str, np.ndarray] = {}
    by_seed, values = defaultdict(list), []
    for draw in draws:
        plain = np.array(draw.outcomes, dtype=float)
        pseudo = np.array(list(product((0.0, 1.0), repeat=len(plain)))).T
        images = plain.shape[1]
        weight = np.concatenate([np.ones(images), np.full(pseudo.shape[1], PSEUDO_WEIGHT / pseudo.shape[1])])
        value, own = statistic(weight, *np.concatenate([plain, pseudo], axis=1))
        by_seed[draw.seed].append(value)
        values.append(statistic(weight[:images], *plain)[0])
        influence[draw.target] = influence.get(draw.target, 0) + np.sqrt(weight) * own / weight.sum() / len(draws)
    of_images = sum(float(np.sum(total**2)) for total in influence.values())
    means = np.array([np.mean(of_seed) for of_seed in by_seed.values()])
    of_seeds = means.var(ddof=1) / len(means) if len(means) > 1 else 0.0
    freedom = (of_images + of_seeds) ** 2 / (of_seeds**2 / (len(means) - 1)) if of_seeds else math.inf
    centre = float(np.mean([value for of_seed in by_seed.values() for value in of_seed]))
    error = math.sqrt(of_images + of_seeds)
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
