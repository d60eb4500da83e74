"""Masks by their names, and the patterns of single weights against counts by hand."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunetransfer.pruning.making import make_mask
from prunetransfer.pruning.masks import achieved_sparsity, global_mask
from prunetransfer.pruning.names import any_name, is_n_of_m, mask_name, own_sparsity, read_name
from prunetransfer.pruning.ranking import Ranking

SHAPES = {"conv": (6, 8, 3, 3), "depthwise": (8, 1, 3, 3), "linear": (10, 16)}


def random_scores(seed: int = 0, levels: int = 10_000) -> dict[str, np.ndarray]:
    """Scores of layers on scales that are far apart; few levels make many ties."""
    rng = np.random.default_rng(seed)
    return {
        name: scale * rng.integers(1, levels, shape).astype(np.float32)
        for scale, (name, shape) in zip((1.0, 30.0, 1000.0), SHAPES.items(), strict=True)
    }


def pruned(mask: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: 1 - keep.mean() for name, keep in mask.items()}


@pytest.mark.parametrize("entry", ["global", "erk", "a-0.5", "0.5", "with.dot"])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.95, 1e-5, 0.30000000000000004])
def test_a_name_says_entry_and_sparsity(entry, sparsity):
    name = mask_name(entry, sparsity)
    assert read_name(name) == {"mask": entry, "sparsity": sparsity}
    assert re.fullmatch(any_name(["global", entry]), name)


def test_masks_of_the_entry_global_are_called_by_their_sparsity_alone():
    assert [mask_name("global", q) for q in (0.0, 0.5, 1e-05)] == ["0.0", "0.5", "0.00001"]
    assert mask_name("erk", 0.5) == "erk-0.5"


@pytest.mark.parametrize("name", ["", "1.0", "0.5.safetensors", "2of4", "0.5@digits", "a/b-0.5", "erk-1.0"])
def test_what_names_no_mask_is_refused(name):
    with pytest.raises(ValueError, match="names no mask"):
        read_name(name)
    assert not re.fullmatch(any_name(["global", "erk"]), name)


def test_names_of_other_entries_match_none_of_these():
    assert not re.fullmatch(any_name(["global", "erk"]), "lamp-0.5")


@given(st.sampled_from(["global", "uniform", "erk", "lamp", "even"]), st.floats(0, 0.99), st.integers(0, 5))
def test_each_allocation_prunes_exactly_so_many_and_the_lowest_of_each_layer(allocation, sparsity, seed):
    scores = random_scores(seed, levels=40)
    total = sum(values.size for values in scores.values())
    mask = make_mask(Ranking(scores), sparsity, allocation=allocation)
    assert sum(np.count_nonzero(~keep) for keep in mask.values()) == round(sparsity * total)
    for name, keep in mask.items():
        if keep.any() and not keep.all():
            assert scores[name][~keep].max() <= scores[name][keep].min()


@given(st.sampled_from(["global", "uniform", "erk", "lamp", "even"]), st.floats(0, 0.9), st.floats(0, 0.9))
def test_masks_of_growing_sparsities_nest(allocation, first, second):
    low, high = sorted((first, second))
    smaller, larger = (make_mask(Ranking(random_scores()), q, allocation=allocation) for q in (high, low))
    assert all((larger[name] | ~keep).all() for name, keep in smaller.items())


def test_global_is_one_threshold():
    found = make_mask(Ranking(random_scores()), 0.25)
    assert all((found[name] == keep).all() for name, keep in global_mask(random_scores(), 0.25).items())


def test_uniform_prunes_every_layer_alike():
    shares = pruned(make_mask(Ranking(random_scores()), 0.6, allocation="uniform"))
    assert all(abs(share - 0.6) <= 1 / 72 for share in shares.values())


@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.9])
def test_erk_keeps_shares_in_proportion_to_sides_over_size_and_at_most_all(sparsity):
    kept = {name: 1 - share for name, share in pruned(make_mask(Ranking(random_scores()), sparsity, **ERK)).items()}
    raw = {name: sum(shape) / np.prod(shape) for name, shape in SHAPES.items()}
    scale = max(kept[name] / raw[name] for name in SHAPES)  # of a layer that is not dense
    for name, shape in SHAPES.items():
        assert kept[name] == pytest.approx(min(1, scale * raw[name]), abs=3 / np.prod(shape))


ERK = {"allocation": "erk"}


def test_lamp_is_the_published_score():
    scores = random_scores(seed=3)
    lamp = {
        name: np.array([s / values[values >= s].sum(dtype=float) for s in values.ravel()]).reshape(values.shape)
        for name, values in scores.items()
    }
    found, expected = make_mask(Ranking(scores), 0.7, allocation="lamp"), global_mask(lamp, 0.7)
    assert {name: (~keep).sum() for name, keep in found.items()} == {n: (~k).sum() for n, k in expected.items()}


def test_even_takes_the_same_sum_of_scores_from_every_layer():
    scores = {name: values / values.max() for name, values in random_scores().items()}
    mask = make_mask(Ranking(scores), 0.5, allocation="even")
    lost = {name: scores[name][~keep].sum(dtype=float) for name, keep in mask.items() if keep.any()}
    following = {name: scores[name][keep].min() for name, keep in mask.items() if keep.any()}
    for name in lost:  # one more weight of any layer would take it above what another loses
        assert lost[name] + following[name] >= max(lost.values()) - 1e-6


def test_a_layer_keeps_its_least_density_and_others_make_up_for_it():
    scores = random_scores()
    with pytest.warns(UserWarning, match="nothing stays of conv"):
        assert not make_mask(Ranking(scores), 0.7)["conv"].any()
    mask = make_mask(Ranking(scores), 0.7, min_layer_density=0.25)
    assert mask["conv"].mean() == pytest.approx(0.25, abs=1 / mask["conv"].size)
    assert abs(achieved_sparsity(mask) - 0.7) < 1e-3
    with pytest.raises(ValueError, match=r"sparsity 0\.8: the layers may lose at most 0\.75"):
        make_mask(Ranking(scores), 0.8, min_layer_density=0.25)


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (3, 4), (1, 4), (2, 8)])
def test_of_every_m_weights_side_by_side_n_stay(n, m):
    scores = random_scores(levels=5)
    with pytest.warns(UserWarning, match=f"dense, as their inputs are no multiple of {m}: depthwise"):
        mask = make_mask(Ranking(scores), own_sparsity(f"{n}:{m}"), f"{n}:{m}")
    assert mask["depthwise"].all()
    for o, y, x, start in np.ndindex(6, 3, 3, 8 // m):
        group = (o, slice(start * m, start * m + m), y, x)
        assert mask["conv"][group].sum() == n
        kept, gone = scores["conv"][group][mask["conv"][group]], scores["conv"][group][~mask["conv"][group]]
        assert kept.min() >= gone.max()
    groups = mask["linear"].reshape(10, -1, m)
    assert (groups.sum(-1) == n).all() and mask["linear"].flags["C_CONTIGUOUS"]


def test_an_n_m_mask_has_one_sparsity():
    assert own_sparsity("2:4") == 0.5 and own_sparsity("1:3") == 0.666667
    with pytest.raises(ValueError, match=r"sparsity 0\.3: a 2:4 mask has 0\.5"):
        make_mask(Ranking(random_scores()), 0.3, "2:4")
    assert not is_n_of_m("4:2") and not is_n_of_m("2:2") and not is_n_of_m("0:2") and not is_n_of_m(None)


@pytest.mark.parametrize("pattern", ["unstructured", "2:4"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_scores_that_are_no_numbers_are_refused(pattern, bad):
    scores = random_scores()
    scores["linear"][1, 2] = bad
    with pytest.raises(ValueError, match="scores of linear: every score must be finite"):
        make_mask(Ranking(scores), 0.5, pattern)


@pytest.mark.parametrize(("pattern", "meant"), [("unstructurd", "unstructured"), ("2;4", "")])
def test_an_unknown_pattern_names_those_there_are(pattern, meant):
    with pytest.raises(
        ValueError, match=rf"pattern '{pattern}': no such pattern; defined are .*n:m, unstructured.*{meant}"
    ):
        make_mask(Ranking(random_scores()), 0.5, pattern)


def test_patterns_start_without_torch():
    code = (
        "import sys, numpy as np; from prunetransfer.pruning.making import make_mask, Ranking; "
        "make_mask(Ranking({'a': np.ones((4, 4))}), 0.5, '2:4'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
