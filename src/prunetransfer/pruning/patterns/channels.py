"""Whole units: channels, hidden units of MLPs and attention heads, with all that depends on them. NumPy only."""

from __future__ import annotations

from math import ceil, prod
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from prunetransfer.pruning.masks import Mask, check_sparsity
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.settings.registry import pattern
from prunetransfer.structure.units import Units, mask_without


@pattern(units=True, steps=True)
def channels(
    ranking: Ranking,
    sparsity: float,
    *,
    budget: Annotated[
        Literal["weights", "multiply_adds"],
        Field(
            description="Of what the sparsity is the share that goes: prunable weights, or the multiply-adds of one "
            "image in them."
        ),
    ] = "weights",
    min_layer_density: Annotated[
        float,
        Field(ge=0, lt=1, description="The share of the units of a layer that stays at least; one stays in any case."),
    ] = 0.0,
) -> Mask:
    """The mask without whole units, those first that matter least for what they hold.

    Units go in ascending order of score for each weight, or multiply-add, of their own: the greedy order of the
    knapsack whose value is the score and whose size is the budget (so Group Fisher, Liu et al. 2021, arXiv 2108.00708;
    HALP, Shen et al. 2021, arXiv 2110.10811). Among equal ones the earlier goes first. The first so many go whose share
    of the budget is nearest to the sparsity, the smaller number of two as near, so the masks of growing sparsities
    nest. What lies in a row of one unit and a column of another counts once, and all weights outside units stay. Raises
    ValueError for a score that is NaN, infinite or negative, and for a sparsity outside [0, 1) or above the most that
    whole units free.
    """
    check_sparsity(sparsity)
    units, scores = ranking.units, ranking.unit_scores
    for family, values in zip(units.families, scores, strict=True):
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise ValueError(f"scores of the units of {family.name}: every score must be finite and at least 0")
    each = units.uses if budget == "multiply_adds" else dict.fromkeys(units.shapes, 1)
    sizes = _sizes(units, each)
    costs = [values / size for values, size in zip(scores, sizes, strict=True)]
    places = [_may_go(values, min_layer_density) for values in costs]
    family_of = np.repeat(np.arange(len(places)), [len(place) for place in places])
    unit_of = np.concatenate([np.empty(0, dtype=np.int64), *places])
    order = np.argsort(
        np.concatenate([np.empty(0), *(c[p] for c, p in zip(costs, places, strict=True))]), kind="stable"
    )
    freed = _freed(units, each, family_of[order])
    whole = sum(each[name] * prod(shape) for name, shape in units.shapes.items())
    if freed[-1] < sparsity * whole:
        kind = budget.replace("_", "-")
        raise ValueError(f"sparsity {sparsity}: whole units hold at most {freed[-1] / whole:.4f} of the {kind}")
    going = order[: np.argmin(np.abs(freed - sparsity * whole))]
    gone = [np.zeros(len(family), dtype=bool) for family in units.families]
    for place, own in enumerate(gone):
        own[unit_of[going[family_of[going] == place]]] = True
    return mask_without(units, gone)


def _sizes(units: Units, each: dict[str, int]) -> list[int]:
    """What a unit of each family holds of the budget in the dense network, a crossing of its row and column once."""
    sizes = []
    for family in units.families:
        size = 0
        for (name, axis), indices in family.members.items():
            rows, columns, *kernel = units.shapes[name]
            across = columns if axis == 0 else rows
            if axis == 1 and (name, 0) in family.members:
                across -= family.members[name, 0].shape[1]
            size += each[name] * indices.shape[1] * across * prod(kernel)
        sizes.append(size)
    return sizes


def _may_go(costs: np.ndarray, min_density: float) -> np.ndarray:
    """The units of a family that may go, in order: all but those of the highest costs, of which one stays at least."""
    stay = max(1, ceil(min_density * len(costs) - 1e-9))  # 0.07 · 100 is a little more than 7
    return np.sort(np.argsort(costs, kind="stable")[: len(costs) - stay])


def _freed(units: Units, each: dict[str, int], families: np.ndarray) -> np.ndarray:
    """What is freed of the budget once the first k units are gone, k = 0, 1, …; families: that of each, in order.

    A weight of which r rows and c columns are left has r·c·kernel numbers left, whichever units they are of.
    """
    freed = np.zeros(len(families) + 1, dtype=np.int64)
    for name, (rows, columns, *kernel) in units.shapes.items():
        left = []
        for axis, length in enumerate((rows, columns)):
            taken = np.array([of.members.get((name, axis), np.empty((0, 0))).shape[1] for of in units.families], int)
            left.append(length - np.concatenate([[0], np.cumsum(taken[families])]))
        freed += each[name] * prod(kernel) * (rows * columns - left[0] * left[1])
    return freed
