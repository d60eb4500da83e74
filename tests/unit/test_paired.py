"""Paired intervals and tests: coverage by simulation, numbers against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from prunetransfer.analysis.paired import Cell, holm, mcnemar, mean_difference, mean_ratio, retention_difference


def pair(rng, n, lost=0.1, gained=0.05, kept=0.6):
    kind = rng.choice(4, size=n, p=[lost, gained, kept, 1 - lost - gained - kept])
    return (kind == 0) | (kind == 2), (kind == 1) | (kind == 2)


@pytest.mark.parametrize(("lost", "gained", "n"), [(0.1, 0.05, 100), (0.02, 0.0, 300), (0.3, 0.01, 225)])
def test_intervals_of_one_cell_cover_the_truth(lost, gained, n):
    rng, covered = np.random.default_rng(0), np.zeros(2)
    truths = gained - lost, (0.6 + gained) / (0.6 + lost)
    for _ in range(1000):
        cell = Cell("a", 0, *pair(rng, n, lost, gained))
        for i, found in enumerate((mean_difference([cell], 0.95), mean_ratio([cell], 0.95))):
            covered[i] += found.low <= truths[i] <= found.high
    assert (covered / 1000 >= 0.93).all() and (covered / 1000 <= 0.99).all()


def test_cells_that_share_images_are_not_counted_as_new_images():
    rng, covered = np.random.default_rng(1), 0
    for _ in range(500):
        before, after = pair(rng, 200)
        cells = [Cell("a", 0, before, after) for _ in range(4)]  # four criteria that prune alike
        found = mean_ratio(cells, 0.95)
        wide = mean_ratio(cells[:1], 0.95)
        assert (found.low, found.high) == pytest.approx((wide.low, wide.high))
        covered += found.low <= 0.65 / 0.7 <= found.high
    assert 0.93 <= covered / 500 <= 0.97


def test_targets_are_independent_draws():
    before, after = pair(np.random.default_rng(2), 300)
    one, two = (mean_difference([Cell(t, 0, before, after) for t in names], 0.95) for names in ("a", "ab"))
    assert (two.high - two.low) == pytest.approx((one.high - one.low) / np.sqrt(2))


def test_seeds_widen_the_interval_and_it_covers():
    """Each seed prunes with luck of its own; the truth is the mean over seeds and images."""
    rng, covered, draws = np.random.default_rng(3), 0, 500
    for _ in range(draws):
        before, cells = rng.random(400) < 0.8, []
        for seed in range(4):
            lost = np.clip(0.2 + 0.05 * rng.standard_normal(), 0, 1)
            cells.append(Cell("a", seed, before, before & (rng.random(400) >= lost)))
        found = mean_ratio(cells, 0.95)
        covered += found.low <= 0.8 <= found.high
    assert covered / draws >= 0.93


def test_the_difference_agrees_with_scipys_paired_t_test_where_images_are_many():
    before, after = pair(np.random.default_rng(4), 20000)
    found = mean_difference([Cell("a", 0, before, after)], 0.95)
    paired = stats.ttest_rel(after.astype(float), before.astype(float))
    interval = paired.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-4)


def test_the_ratio_agrees_with_scipys_paired_bootstrap():
    before, after = pair(np.random.default_rng(5), 2000)
    found = mean_ratio([Cell("a", 0, before, after)], 0.95)
    drawn = stats.bootstrap(
        (after, before),
        lambda a, b, axis: a.mean(axis=axis) / b.mean(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=2000,
        method="basic",
        random_state=0,
    ).confidence_interval
    assert found.value == pytest.approx(after.mean() / before.mean())
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=2e-3)


def two_backbones(rng, n):
    """Outcomes of two backbones, dense and pruned, on images that are easy or hard for both."""
    easy = rng.random(n) < 0.5
    before, other_before = (rng.random(n) < np.where(easy, 0.95, right) for right in (0.6, 0.4))
    after, other_after = before & (rng.random(n) < np.where(easy, 0.95, 0.7)), other_before & (rng.random(n) < 0.8)
    return before, after, other_before, other_after


def test_the_difference_of_two_retentions_agrees_with_scipys_paired_bootstrap():
    before, after, other_before, other_after = two_backbones(np.random.default_rng(6), 3000)
    found = retention_difference([(Cell("a", 0, before, after), Cell("a", 0, other_before, other_after))], 0.95)

    def difference(b, a, d, c, axis):
        return a.mean(axis=axis) / b.mean(axis=axis) - c.mean(axis=axis) / d.mean(axis=axis)

    outcomes = (before, after, other_before, other_after)
    drawn = stats.bootstrap(
        outcomes, difference, paired=True, vectorized=True, n_resamples=2000, method="basic", random_state=0
    ).confidence_interval
    assert found.value == pytest.approx(after.mean() / before.mean() - other_after.mean() / other_before.mean())
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=3e-3)


def test_the_difference_of_two_retentions_covers_the_truth_and_pairs_the_images():
    rng, covered, draws = np.random.default_rng(7), 0, 500
    truth = (0.5 * 0.95**2 + 0.5 * 0.6 * 0.7) / (0.5 * 0.95 + 0.5 * 0.6) - 0.8
    for _ in range(draws):
        before, after, *other = two_backbones(rng, 200)
        found = retention_difference([(Cell("a", 0, before, after), Cell("a", 0, *other))] * 3, 0.95)
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / draws <= 0.98
    itself = retention_difference([(Cell("a", 0, before, after),) * 2], 0.95)
    own = mean_ratio([Cell("a", 0, before, after)], 0.95)
    assert itself.value == 0 and 0 < itself.high < (own.high - own.low) / 2


def test_no_change_still_has_a_width():
    right = np.array([True] * 80 + [False] * 20)
    found = mean_ratio([Cell("a", 0, right, right)], 0.95)
    assert found.value == 1 and found.low < 1 < found.high and found.p_value == 1


def test_mcnemar_is_the_binomial_test_of_the_images_that_changed_sides():
    before = np.array([1] * 10 + [0] * 10 + [1] * 30, dtype=bool)
    after = np.array([1] * 8 + [0] * 2 + [1] * 9 + [0] * 1 + [1] * 30, dtype=bool)
    gained, lost, p_value = mcnemar(before, after)
    assert (gained, lost) == (9, 2)
    assert p_value == pytest.approx(2 * stats.binom.sf(8, 11, 0.5))
    assert mcnemar(before, before) == (0, 0, 1.0)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1, 1]
    assert holm([]).size == 0


def test_what_is_not_paired_is_refused():
    right = np.ones(3, dtype=bool)
    with pytest.raises(ValueError, match="not pairs"):
        mcnemar(right, right[:2])
    with pytest.raises(ValueError, match="allowed is bool"):
        mcnemar(right, right.astype(float))
    with pytest.raises(ValueError, match="target a: no image was right before"):
        mean_ratio([Cell("a", 0, ~right, right)], 0.95)
    with pytest.raises(ValueError, match="target a: no image was right before"):
        retention_difference([(Cell("a", 0, right, right), Cell("a", 0, ~right, right))], 0.95)
    with pytest.raises(ValueError, match="not pairs"):
        retention_difference([(Cell("a", 0, right, right), Cell("a", 0, right[:2], right[:2]))], 0.95)
