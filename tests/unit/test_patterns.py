"""Masks by their names: which pattern and sparsity, and that one function is all that a further pattern takes."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from prunetransfer.pruning import patterns
from prunetransfer.pruning.masks import global_mask
from prunetransfer.pruning.patterns import any_name, make_mask, mask_name, pattern, read_name

SCORES = {"a": np.array([[4.0, 1.0, 2.0, 3.0], [8.0, 7.0, 6.0, 5.0]])}


@pytest.fixture
def two_of_four(monkeypatch):
    """A further pattern: of every four weights in a row the two of lowest score go."""
    monkeypatch.setattr(patterns, "PATTERNS", dict(patterns.PATTERNS))

    @pattern(names="2of4", read=lambda name: 0.5, write=lambda sparsity: "2of4")
    def two_of_four(scores, sparsity):
        return {name: values.argsort().argsort() >= 2 for name, values in scores.items()}


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.95, 1e-5, 0.30000000000000004])
def test_a_name_says_pattern_and_sparsity(sparsity):
    name = mask_name("unstructured", sparsity)
    assert read_name(name) == {"pattern": "unstructured", "sparsity": sparsity}
    assert re.fullmatch(any_name(), name) and re.fullmatch(r"0\.\d+", name)


def test_a_sparsity_stands_in_names_without_an_exponent():
    assert [mask_name("unstructured", q) for q in (0.0, 0.5, 1e-05)] == ["0.0", "0.5", "0.00001"]


@pytest.mark.parametrize("name", ["", "1.0", "0.5.safetensors", "2of4", "0.5@digits"])
def test_what_names_no_mask_is_refused(name):
    with pytest.raises(ValueError, match="names no mask; the patterns are unstructured"):
        read_name(name)
    assert not re.fullmatch(any_name(), name)


def test_unstructured_masks_are_those_of_the_lowest_scores():
    found = make_mask(SCORES, "unstructured", 0.25)
    assert (found["a"] == global_mask(SCORES, 0.25)["a"]).all() and (~found["a"]).sum() == 2


def test_a_further_pattern_is_one_function(two_of_four):
    assert read_name("2of4") == {"pattern": "two_of_four", "sparsity": 0.5} and mask_name("two_of_four", 0.5) == "2of4"
    assert read_name("0.5")["pattern"] == "unstructured"
    assert all(re.fullmatch(any_name(), name) for name in ("2of4", "0.5"))
    assert make_mask(SCORES, "two_of_four", 0.5)["a"].tolist() == [
        [True, False, False, True],
        [True, True, False, False],
    ]


def test_patterns_start_without_torch():
    code = "import sys, prunetransfer.pruning.patterns; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
