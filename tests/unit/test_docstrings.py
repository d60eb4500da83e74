"""The examples in docstrings give what they show."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = [
    "criteria.ranks",
    "curvature.diagonal",
    "datasets.mixtures",
    "heads.knn",
    "heads.losses",
    "heads.penalty",
    "heads.ridge",
    "pruning.apply",
    "pruning.making",
    "pruning.masks",
    "stages.sequences",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_show(name):
    failed, attempted = doctest.testmod(importlib.import_module(f"prunetransfer.{name}"))
    assert attempted and not failed
