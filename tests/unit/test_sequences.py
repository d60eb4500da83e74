"""Masks that are made with one source after the other, against a slow reference that counts and sorts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from unit.networks import BACKBONES, backbone_of, images_of

from prunetransfer.pruning.making import make_in_turn, make_mask
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.recovery.steps import prune_in_steps
from prunetransfer.stages.sequences import datasets_of, is_sequence, source_name
from prunetransfer.structure.units import Family, Units, removed

SHAPES = {"first": (7, 5), "second": (4, 6, 3, 3), "third": (11, 9)}
ALLOCATIONS = ["global", "uniform", "erk", "lamp", "even"]


def drawn(seed: int, dtype: type = np.float64) -> dict[str, np.ndarray]:
    """Scores with ties, and zeros."""
    generator = np.random.default_rng(seed)
    scores = {name: generator.exponential(size=shape).round(1) for name, shape in SHAPES.items()}
    return {name: (values * generator.integers(0, 2, values.shape)).astype(dtype) for name, values in scores.items()}


def gone(mask: dict[str, np.ndarray]) -> set[tuple[str, int]]:
    return {(name, int(j)) for name, keep in mask.items() for j in np.flatnonzero(~keep)}


def reference(of_sources: list[dict[str, np.ndarray]], sparsity: float) -> set[tuple[str, int]]:
    """What goes: after source k of n round((1 − (1 − q)^(k/n)) p) weights, each time the lowest of those left."""
    order = list(of_sources[0])
    total = sum(values.size for values in of_sources[0].values())
    away: set[tuple[str, int]] = set()
    for k, scores in enumerate(of_sources, 1):
        left = [
            (float(value), place, name, j)
            for place, name in enumerate(order)
            for j, value in enumerate(scores[name].ravel())
            if (name, j) not in away
        ]
        count = round((1 - (1 - sparsity) ** (k / len(of_sources))) * total)
        away |= {(name, j) for _, _, name, j in sorted(left, key=lambda of: (of[0], of[1], of[3]))[: count - len(away)]}
    return away


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("sparsity", [0.0, 0.13, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_source_prunes_its_lowest_among_what_is_left(count, sparsity, dtype):
    of_sources = [drawn(seed, dtype) for seed in range(count)]
    mask = make_in_turn([Ranking(scores) for scores in of_sources], sparsity)
    assert gone(mask) == reference(of_sources, sparsity)
    assert len(gone(mask)) == round(sparsity * sum(map(np.size, of_sources[0].values())))


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("floor", [0.0, 0.2])
def test_masks_nest_and_their_number_is_exact_under_every_layer_budget(allocation, floor):
    rankings = [Ranking(drawn(seed)) for seed in range(3)]
    settings = {"allocation": allocation, "min_layer_density": floor}
    total = sum(np.prod(shape) for shape in SHAPES.values())
    for sparsity in (0.1, 0.45, 0.7):
        mask = make_in_turn(rankings, sparsity, **settings)
        assert len(gone(mask)) == round(sparsity * total)
        # The first two of three sources, at the sparsity that they reach in the whole.
        before = make_in_turn(rankings[:2], 1 - (1 - sparsity) ** (2 / 3), **settings)
        assert gone(before) <= gone(mask)


def test_one_source_is_the_plain_mask_for_every_pattern():
    ranking = Ranking(drawn(0))
    for sparsity, settings in [(0.3, {}), (0.1, {"allocation": "erk"}), (0.5, {"pattern": "1:2"})]:
        alone, plain = make_in_turn([ranking], sparsity, **settings), make_mask(ranking, sparsity, **settings)
        assert all(np.array_equal(alone[name], plain[name]) for name in plain)


def test_order_matters_and_the_same_source_twice_changes_nothing():
    first, second = Ranking(drawn(0)), Ranking(drawn(1))
    there, back = (make_in_turn(list(pair), 0.5) for pair in itertools.permutations((first, second)))
    assert gone(there) != gone(back)
    assert gone(make_in_turn([first, first], 0.5)) == gone(make_mask(first, 0.5))


@pytest.mark.parametrize("kind", BACKBONES)
def test_with_one_score_it_is_pruning_in_steps_without_a_recovery(kind):
    dense = backbone_of(kind).double()
    generator = np.random.default_rng(0)
    scores = {
        name: 0.5 * w.detach().numpy() ** 2 * generator.exponential(size=w.shape)
        for name, w in dense.prunable().items()
    }
    stepped, _ = prune_in_steps(dense, scores, 0.6, 3, lambda case: None, images_of(4))
    assert gone(make_in_turn([Ranking(scores)] * 3, 0.6)) == gone(stepped)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_score_that_is_none_is_refused_of_every_source(bad):
    wrong = drawn(1)
    wrong["third"][:] = bad
    with pytest.raises(ValueError, match="scores of third: every score must be finite and at least 0"):
        make_in_turn([Ranking(drawn(0)), Ranking(wrong)], 0.1)


def test_whole_units_go_with_one_source_after_the_other():
    family = Family("up", {("up", 0): np.arange(20)[:, None], ("down", 1): np.arange(20)[:, None]})
    units = Units([family], {"up": (20, 3), "down": (2, 20)}, {"up": 1, "down": 1})
    generator = np.random.default_rng(0)
    scores = {name: np.ones(shape) for name, shape in units.shapes.items()}
    of_units = [generator.permutation(20).astype(float) for _ in range(2)]
    rankings = [Ranking(scores, units, [values]) for values in of_units]
    mask = make_in_turn(rankings, 0.4, pattern="channels")
    (away,) = removed(units, mask)
    # √0.6 of the weights are left after the first source: 5 of 20 units of five weights each are nearest to that.
    lost = set(np.argsort(of_units[0])[:5])
    lost |= set([unit for unit in np.argsort(of_units[1]) if unit not in lost][:3])
    assert set(np.flatnonzero(away)) == lost
    close = make_in_turn([rankings[0], rankings[1]], 0.005, pattern="channels")
    assert all(keep.all() for keep in close.values())


def test_units_of_unlike_size_that_are_gone_stay_gone():
    first = Family("wide", {("wide", 0): np.arange(8).reshape(2, 4)})
    second = Family("thin", {("thin", 0): np.arange(4)[:, None]})
    units = Units([second, first], {"wide": (8, 5), "thin": (4, 5)}, {"wide": 1, "thin": 1})
    scores = {name: np.ones(shape) for name, shape in units.shapes.items()}
    wide_first = Ranking(scores, units, [np.array([9.0, 1, 9, 9]), np.array([1.0, 99])])
    other = Ranking(scores, units, [np.array([1.0, 2, 3, 4]), np.array([90.0, 99])])
    for sparsity in np.linspace(0, 0.4, 21):
        before = make_mask(wide_first, 1 - (1 - sparsity) ** 0.5, "channels")
        assert gone(before) <= gone(make_in_turn([wide_first, other], sparsity, pattern="channels"))


def test_a_sequence_is_written_in_words_and_named_for_files():
    assert source_name("a then b then a") == "a-then-b-then-a" and source_name("a") == "a"
    assert datasets_of(source_name("a then b then a")) == ["a", "b", "a"] and datasets_of("a") == ["a"]
    assert [is_sequence(name) for name in ("a-then-b", "a", None)] == [True, False, False]
