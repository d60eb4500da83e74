"""Masks of whole units: which go, how many, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from prunetransfer.pruning.masks import achieved_sparsity
from prunetransfer.pruning.patterns.channels import channels
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.structure.units import Family, Units, mask_without, removed, summed

SHAPES = {"stem": (6, 3, 2, 2), "square": (6, 6), "next": (8, 6, 3), "last": (4, 16), "kept": (5, 4)}
USES = {"stem": 16, "square": 16, "next": 4, "last": 1, "kept": 1}


def each(count: int, of: int = 1) -> np.ndarray:
    return np.arange(count * of).reshape(count, of)


# A stream that `square` reads and writes; heads of two rows each; weights of no unit.
STREAM = Family("stem", {("stem", 0): each(6), ("square", 0): each(6), ("square", 1): each(6), ("next", 1): each(6)})
HEADS = Family("next", {("next", 0): each(4, 2), ("last", 1): each(4, 4)})
UNITS = Units([STREAM, HEADS], SHAPES, USES)


def ranking(seed: int = 0) -> Ranking:
    draws = np.random.default_rng(seed)
    scores = {name: draws.random(shape) for name, shape in SHAPES.items()}
    return Ranking(scores, UNITS, summed(UNITS, scores))


def with_unit_scores(*scores: list[float]) -> Ranking:
    return Ranking({}, UNITS, [np.array(values, dtype=float) for values in scores])


def gone(mask: dict[str, np.ndarray]) -> list[list[int]]:
    return [np.flatnonzero(away).tolist() for away in removed(UNITS, mask)]


def freed(mask: dict[str, np.ndarray], budget: str) -> float:
    """The share of the budget that the mask takes, counted weight by weight."""
    times = USES if budget == "multiply_adds" else dict.fromkeys(SHAPES, 1)
    whole = sum(times[name] * keep.size for name, keep in mask.items())
    return sum(times[name] * (~keep).sum() for name, keep in mask.items()) / whole


def dense_size(family: Family, unit: int, budget: str) -> float:
    away = [np.arange(len(other)) == (unit if other is family else -1) for other in UNITS.families]
    return freed(mask_without(UNITS, away), budget)


@pytest.mark.parametrize("budget", ["weights", "multiply_adds"])
@pytest.mark.parametrize("seed", range(5))
def test_units_go_in_the_order_of_their_score_for_their_size_until_the_share_is_nearest(budget, seed):
    given = ranking(seed)
    costs = [
        (given.unit_scores[place][unit] / dense_size(family, unit, budget), place, unit)
        for place, family in enumerate(UNITS.families)
        for unit in range(len(family))
    ]
    stays = {max(cost for cost in costs if cost[1] == place) for place in (0, 1)}
    order = sorted(set(costs) - stays)
    prefixes = []
    for count in range(len(order) + 1):
        away = [np.zeros(len(family), dtype=bool) for family in UNITS.families]
        for _, place, unit in order[:count]:
            away[place][unit] = True
        prefixes.append(mask_without(UNITS, away))
    shares = [freed(mask, budget) for mask in prefixes]
    for sparsity in np.linspace(0, shares[-1] - 1e-9, 40):
        mask = channels(given, sparsity, budget=budget)
        nearest = prefixes[int(np.argmin([abs(share - sparsity) for share in shares]))]
        assert list(mask) == list(SHAPES)
        for name, keep in nearest.items():
            np.testing.assert_array_equal(mask[name], keep, strict=True)


def test_masks_nest_as_sparsity_grows():
    masks = [channels(ranking(), sparsity) for sparsity in np.arange(0, 0.7, 0.01)]
    for looser, tighter in pairwise(masks):
        assert all((tighter[name] <= looser[name]).all() for name in SHAPES)
    assert all(keep.all() for keep in masks[0].values())
    assert achieved_sparsity(masks[-1]) == pytest.approx(0.69, abs=0.07)


def test_weights_outside_units_stay():
    assert channels(ranking(), 0.69)["kept"].all()


def test_one_unit_of_each_family_stays():
    most = channels(ranking(), 0.83)
    assert [len(family) for family in gone(most)] == [5, 3]


def test_the_order_is_that_of_the_score_for_each_weight_not_of_the_score():
    # Of the stream a unit holds 12 + 11 + 24 weights, a head 36 + 16.
    cheap = with_unit_scores([4.6, *[90] * 5], [5.1, *[90] * 3])  # 0.0979 and 0.0981 a weight
    assert gone(channels(cheap, 47 / 336)) == [[0], []]
    dear = with_unit_scores([4.8, *[90] * 5], [5.1, *[90] * 3])  # 0.1021 and 0.0981 a weight
    assert gone(channels(dear, 52 / 336)) == [[], [0]]


def test_the_budget_decides_what_a_unit_costs():
    # Of the stream a unit holds 16 · (12 + 11) + 4 · 24 = 464 multiply-adds, a head 4 · 36 + 16 = 160.
    scores = with_unit_scores([10.0] * 6, [10.0] * 4)
    assert gone(channels(scores, 0.15, budget="weights")) == [[], [0]]
    assert gone(channels(scores, 0.15, budget="multiply_adds")) == [[0], []]


def test_among_equal_scores_the_earlier_unit_goes_first():
    scores = with_unit_scores([47.0] * 6, [52.0] * 4)
    assert gone(channels(scores, 0.26)) == [[0, 1], []]
    assert gone(channels(scores, 0.62)) == [[0, 1, 2, 3, 4], []]
    assert gone(channels(scores, 0.77)) == [[0, 1, 2, 3, 4], [0, 1]]


@pytest.mark.parametrize(("density", "left"), [(0.0, [1, 1]), (0.5, [3, 2]), (0.51, [4, 3]), (0.99, [6, 4])])
def test_a_share_of_each_layers_units_stays(density, left):
    def most() -> list[list[int]]:
        for sparsity in np.arange(0.9, -0.001, -0.001):
            try:
                return gone(channels(ranking(), max(sparsity, 0), min_layer_density=density))
            except ValueError:
                continue
        raise AssertionError("no sparsity can be reached")

    assert [len(family) - len(away) for family, away in zip(UNITS.families, most(), strict=True)] == left


def test_a_share_of_units_is_not_rounded_up_by_floating_point():
    family = Family("a", {("a", 0): each(100), ("b", 1): each(100)})
    units = Units([family], {"a": (100, 1), "b": (1, 100)}, {"a": 1, "b": 1})
    mask = channels(Ranking({}, units, [np.arange(100.0)]), 0.93, min_layer_density=0.07)
    assert mask["a"].sum() == 7


def test_a_sparsity_out_of_reach_is_refused_with_the_most_that_can_be_reached():
    with pytest.raises(ValueError, match=r"^sparsity 0\.9: whole units hold at most 0\.8363 of the weights$"):
        channels(ranking(), 0.9)
    with pytest.raises(ValueError, match=r"at most 0\.\d{4} of the multiply-adds$"):
        channels(ranking(), 0.95, budget="multiply_adds")
    empty = Ranking({}, Units([], SHAPES, USES), [])
    assert all(keep.all() for keep in channels(empty, 0.0).values())
    with pytest.raises(ValueError, match=r"at most 0\.0000"):
        channels(empty, 0.1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1e-30])
def test_what_is_no_score_is_refused_by_family(wrong):
    with pytest.raises(ValueError, match=r"units of next: every score must be finite and at least 0"):
        channels(with_unit_scores([1.0] * 6, [1.0, wrong, 1.0, 1.0]), 0.3)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, float("nan")])
def test_sparsity_outside_its_range_is_refused(sparsity):
    with pytest.raises(ValueError, match="must be at least 0 and below 1"):
        channels(ranking(), sparsity)


def test_ten_thousand_units_are_ranked():
    width = 10_000
    shapes = {"a": (width, 2), "b": (2, width)}
    units = Units([Family("a", {("a", 0): each(width), ("b", 1): each(width)})], shapes, {"a": 1, "b": 1})
    mask = channels(Ranking({}, units, [np.random.default_rng(0).random(width)]), 0.5)
    assert mask["a"].sum() == width


def test_channels_start_without_torch():
    code = "import sys, prunetransfer.pruning.patterns.channels; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
