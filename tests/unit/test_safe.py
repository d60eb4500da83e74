"""The guarantee of safe sparsities, by simulation on truths that are known."""

from __future__ import annotations

import numpy as np
import pytest

from prunetransfer.analysis.safe import halves, loss_p_value, measured_sparsity, safe_sparsity, violation_rate

ALPHA, DELTA = 0.05, 0.1


def images(rng, n, lost, gained, kept=0.6):
    """Whether n images are right dense and pruned; `lost` and `gained` are the shares that change sides."""
    kind = rng.choice(4, size=n, p=[lost, gained, kept, 1 - lost - gained - kept])
    return (kind == 0) | (kind == 2), (kind == 1) | (kind == 2)


def rejections(lost, gained, n, draws, seed=0):
    rng = np.random.default_rng(seed)
    return np.mean([loss_p_value(*images(rng, n, lost, gained), ALPHA, DELTA) <= DELTA for _ in range(draws)])


@pytest.mark.parametrize("gained", [0.0, 0.02, 0.15])
@pytest.mark.parametrize("n", [20, 225, 1000])
def test_at_the_boundary_at_most_delta_are_called_safe(n, gained):
    draws = 2000
    error = 3 * np.sqrt(DELTA * (1 - DELTA) / draws)
    assert rejections(ALPHA + gained, gained, n, draws) <= DELTA + error


def test_the_p_value_is_valid_at_every_level():
    rng = np.random.default_rng(1)
    found = np.array([loss_p_value(*images(rng, 300, 0.08, 0.03), ALPHA, DELTA) for _ in range(2000)])
    for level in (0.01, 0.05, 0.2, 0.5):
        assert np.mean(found <= level) <= level + 3 * np.sqrt(level * (1 - level) / 2000)


@pytest.mark.parametrize(
    ("lost", "gained", "n", "power"), [(0.02, 0.02, 225, 0.8), (0.06, 0.04, 1000, 0.75), (0.0, 0.0, 100, 1.0)]
)
def test_it_has_power_where_little_is_lost(lost, gained, n, power):
    assert rejections(lost, gained, n, 300) >= power


def test_a_study_of_many_sparsities_is_wrong_at_most_delta_of_the_time():
    """From the second sparsity on the loss is α exactly: to call one of those safe is the error that δ bounds."""
    rng, draws, wrong = np.random.default_rng(2), 1000, 0
    for _ in range(draws):
        dense, first = images(rng, 400, 0.01, 0.01)
        pruned = {0.1: first}
        for sparsity in (0.3, 0.5, 0.7):
            pruned[sparsity] = dense & (rng.random(400) >= ALPHA / 0.61)  # 0.61 are right dense
        wrong += safe_sparsity(dense, pruned, ALPHA, DELTA) > 0.1
    assert wrong / draws <= DELTA + 3 * np.sqrt(DELTA * (1 - DELTA) / draws)


def test_the_sequence_stops_at_the_first_sparsity_that_is_not_shown_to_be_safe():
    dense = np.ones(500, dtype=bool)
    broken = np.zeros(500, dtype=bool)
    assert safe_sparsity(dense, {0.1: dense, 0.5: broken, 0.3: dense, 0.7: dense}, ALPHA, DELTA) == 0.3
    assert safe_sparsity(dense, {0.1: broken, 0.3: dense}, ALPHA, DELTA) == 0.0


def test_the_measured_sparsity_goes_by_the_images_at_hand_and_stops_where_more_is_lost():
    dense = np.ones(100, dtype=bool)
    kept, broken = np.arange(100) >= 5, np.arange(100) >= 6  # 5 and 6 points are lost
    assert measured_sparsity(dense, {0.7: dense, 0.1: dense, 0.3: kept, 0.5: broken}, ALPHA) == 0.3
    assert measured_sparsity(dense, {0.1: broken, 0.3: dense}, ALPHA) == 0.0
    assert safe_sparsity(dense, {0.3: kept}, ALPHA, DELTA) == 0.0  # which 100 images cannot show


def test_no_image_is_in_both_halves_and_the_seed_decides():
    first, second = halves(101, 3)
    assert (len(first), len(second)) == (50, 51)
    assert sorted([*first, *second]) == list(range(101))
    assert halves(101, 3)[0].tolist() == first.tolist() != halves(101, 4)[0].tolist()


def test_draws_from_real_images_break_the_guarantee_at_most_delta_of_the_time():
    dense, _ = images(np.random.default_rng(4), 500, 0.0, 0.0)
    pruned = {}
    for sparsity, lost in [(0.1, 5), (0.5, 26), (0.9, 100)]:  # 26 of 500 lost is more than α
        pruned[sparsity] = dense.copy()
        pruned[sparsity][np.flatnonzero(dense)[:lost]] = False
    assert violation_rate(dense, pruned, ALPHA, DELTA, draws=500, seed=0) <= DELTA + 0.04
    assert violation_rate(dense, {0.5: pruned[0.9]}, ALPHA, DELTA, draws=50, seed=0) == 0


@pytest.mark.parametrize(("alpha", "delta", "named"), [(0, 0.1, "α is 0"), (1, 0.1, "α is 1"), (0.1, 1.5, "δ is 1.5")])
def test_levels_outside_their_range_are_refused(alpha, delta, named):
    with pytest.raises(ValueError, match=named):
        loss_p_value(np.ones(3, dtype=bool), np.ones(3, dtype=bool), alpha, delta)


def test_images_that_are_no_pairs_are_refused():
    with pytest.raises(ValueError, match="not pairs"):
        loss_p_value(np.ones(3, dtype=bool), np.ones(4, dtype=bool), ALPHA, DELTA)
