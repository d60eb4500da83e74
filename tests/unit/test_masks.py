"""Masks: exactly round(q·p) weights go, lowest scores first, whatever the ties; what is no score is refused."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from prunetransfer.pruning.masks import achieved_sparsity, global_mask, layer_counts, read_mask, write_mask
from prunetransfer.storage.artifacts import ArtifactError, write_tensors

GRID = [k / 100 for k in range(100)]
SHAPES = {"stem": (2, 3, 1, 2), "blocks.9": (7,), "blocks.10": (5, 4)}  # 39 weights, no order of names
WEIGHTS = 39
TINIEST = np.float32(1e-45)  # the smallest float32 above zero


def layers(values: np.ndarray) -> dict[str, np.ndarray]:
    """39 values as the layers of SHAPES."""
    ends = np.cumsum([np.prod(shape) for shape in SHAPES.values()])
    return {name: part.reshape(SHAPES[name]) for name, part in zip(SHAPES, np.split(values, ends[:-1]), strict=True)}


def flat(arrays: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays.values()])


def shuffled(values: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).permutation(values)


SCORES = {
    "distinct": shuffled(np.arange(WEIGHTS, dtype=np.float32)),
    "ties": shuffled(np.arange(WEIGHTS, dtype=np.float32) // 10),
    "zeros": np.zeros(WEIGHTS, dtype=np.float32),
    "mostly zeros": shuffled(np.maximum(np.arange(WEIGHTS, dtype=np.float32) - 30, 0)),
    "denormal": shuffled(np.arange(WEIGHTS, dtype=np.float32) * TINIEST),
    "tiny beside huge": shuffled(np.float32(10) ** np.linspace(-40, 38, WEIGHTS, dtype=np.float32)),
}


@pytest.mark.parametrize("kind", SCORES)
def test_exactly_the_lowest_scores_go(kind):
    scores = SCORES[kind]
    order = np.argsort(scores, kind="stable")  # among ties the earlier weight first
    for q in GRID:
        mask = global_mask(layers(scores), q)
        expected = np.ones(WEIGHTS, dtype=bool)
        expected[order[: round(q * WEIGHTS)]] = False
        np.testing.assert_array_equal(flat(mask), expected)
        assert {name: keep.shape for name, keep in mask.items()} == SHAPES


@pytest.mark.parametrize("kind", SCORES)
def test_masks_nest_as_sparsity_grows(kind):
    kept = [flat(global_mask(layers(SCORES[kind]), q)) for q in GRID]
    for looser, tighter in pairwise(kept):
        assert (tighter <= looser).all()
    assert kept[0].all()
    assert np.count_nonzero(kept[-1]) == 0  # round(0.99 · 39)


def test_denormal_scores_stay_distinct():
    assert len(np.unique(SCORES["denormal"])) == WEIGHTS


def test_layers_compete_with_each_other():
    mask = global_mask({"weak": np.full(30, 0.1), "strong": np.full(70, 0.2)}, 0.3)
    assert not mask["weak"].any()
    assert mask["strong"].all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -1e-30])
def test_what_is_no_score_is_refused_by_layer(wrong):
    scores = layers(SCORES["distinct"].copy())
    scores["blocks.9"][3] = wrong
    for q in (0, 0.5):
        with pytest.raises(ValueError, match=r"blocks\.9.*finite and at least 0"):
            global_mask(scores, q)


@pytest.mark.parametrize("sparsity", [-0.1, 1, 1.5, float("nan"), float("inf")])
def test_sparsity_outside_its_range_is_refused(sparsity):
    with pytest.raises(ValueError, match=f"sparsity {sparsity}: must be at least 0 and below 1"):
        global_mask(layers(SCORES["distinct"]), sparsity)


@pytest.mark.parametrize("q", [0, 0.1, 0.5, 0.99])
def test_a_file_gives_the_mask_back(tmp_path, q):
    mask = global_mask(layers(SCORES["distinct"]), q)
    write_mask(tmp_path / "mask", mask, {"sparsity": q})
    found = read_mask(tmp_path / "mask")
    assert list(found) == list(SHAPES)
    for name, keep in mask.items():
        np.testing.assert_array_equal(found[name], keep, strict=True)


@pytest.mark.parametrize("shape", [(1,), (8,), (9,), (3, 5, 7), (0, 3)])
def test_any_size_is_packed(tmp_path, shape):
    keep = np.random.default_rng(0).random(shape) < 0.5
    write_mask(tmp_path / "mask", {"layer": keep, "rest": np.ones(3, dtype=bool)}, {})
    np.testing.assert_array_equal(read_mask(tmp_path / "mask")["layer"], keep, strict=True)


def test_a_weight_takes_one_bit(tmp_path):
    write_mask(tmp_path / "mask", {"layer": np.ones(800_000, dtype=bool)}, {})
    assert (tmp_path / "mask").stat().st_size < 101_000


def test_a_file_that_is_no_mask_is_refused(tmp_path):
    write_tensors(tmp_path / "scores", layers(SCORES["distinct"]), {})
    with pytest.raises(ArtifactError, match="scores: not a mask"):
        read_mask(tmp_path / "scores")


def test_layer_counts_follow_the_layers_and_sum_to_the_whole():
    mask = global_mask(layers(SCORES["distinct"]), 0.4)
    rows = layer_counts(mask)
    assert [(row["layer"], row["depth"]) for row in rows] == [("stem", 0), ("blocks.9", 1), ("blocks.10", 2)]
    assert [row["weights"] for row in rows] == [12, 7, 20]
    assert [row["pruned"] for row in rows] == [(~keep).sum() for keep in mask.values()]
    assert sum(row["pruned"] for row in rows) == 16
    for row in rows:
        assert row["layer_sparsity"] == pytest.approx(row["pruned"] / row["weights"])
    assert achieved_sparsity(mask) == pytest.approx(16 / 39)


def test_masks_and_patterns_start_without_torch():
    code = "import sys, prunetransfer.pruning.masks, prunetransfer.pruning.making; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
