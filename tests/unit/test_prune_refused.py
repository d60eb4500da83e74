"""Pruning in one call: what cannot be is said in one line, before anything is computed."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor
from unit.small import INPUTS, LABELS, MODEL

from prunetransfer import prune
from prunetransfer.criteria.source import Source


@pytest.mark.parametrize(
    ("images", "arguments", "what"),
    [
        (INPUTS, {"score": "feature"}, "Did you mean 'features'"),
        (INPUTS, {"recovery": "refined"}, "Did you mean 'refine'"),
        (INPUTS, {"mask": "chanels"}, "Did you mean 'channels'"),
        (INPUTS, {"mask": {"allocation": "lamps"}}, "mask allocation 'lamps': Input should be 'global'"),
        (INPUTS, {"mask": {"alocation": "lamp"}}, "Did you mean 'allocation'"),
        (INPUTS, {"mask": "2:4", "rounds": 2}, "with rounds=1"),
        (INPUTS, {"mask": "1:4"}, "a 1:4 mask has 0.75"),
        (INPUTS, {"mask": "channels", "recovery": "refine"}, "would leave the pattern"),
        (INPUTS, {"rounds": 0}, "at least 1"),
        (INPUTS, {"score": "block"}, "rounds=1"),
        (INPUTS, {"score": "block", "rounds": 1, "recovery": None}, "give labels="),
        (INPUTS, {"recovery": "finetune"}, "reads labels"),
        (INPUTS, {"labels": LABELS[:3], "score": "damped"}, "one class number an image"),
        (INPUTS, {"classifier": "head"}, "its last linear ones are ['neck', 'fc']"),
        (INPUTS, {"exclude": ["nothing"]}, "matches none"),
        (INPUTS, {"procedural": 8}, "mean= and std="),
        (None, {}, "or give images="),
        (None, {"procedural": 0, "size": 12, "mean": [0.5] * 3, "std": [0.2] * 3}, "nothing to prune with"),
        (INPUTS, {"samples": 0}, "samples 0"),
        (INPUTS, {"procedural": -1}, "procedural -1"),
        (INPUTS.long(), {}, "torch.int64"),
        (INPUTS.to(torch.uint8), {}, "give mean=, std="),
        (INPUTS[:0], {}, "of shape [0, 3, 12, 12]"),
        (INPUTS / 0, {}, "NaN or infinite"),
        (INPUTS[:, :1], {}, "reads 3 channels"),
        ([(INPUTS[0], INPUTS[0], 1)], {}, "several inputs"),
        ([INPUTS[0], INPUTS[0, :, :6]], {}, "all must be of one"),
        ([1, 2], {}, "holds a int"),
        ({"images": INPUTS}, {}, "is a dict"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(images, arguments, what):
    with pytest.raises(ValueError, match=re.escape(what)) as error:
        prune(MODEL, 0.5, images, **arguments)
    assert "\n" not in str(error.value)


def test_scores_alone_do_not_say_what_goes_together():
    with pytest.raises(ValueError, match="scores alone do not say which weights go together; use prune"):
        prune.masks(prune.scores(MODEL, INPUTS), 0.3, "channels")


def test_an_unknown_argument_and_a_refined_mask_are_refused():
    with pytest.raises(TypeError, match="Did you mean 'samples'"):
        prune(MODEL, 0.5, INPUTS, sample=3)
    with pytest.raises(ValueError, match="give it to `prune`"):
        prune.recovered(MODEL, {}, INPUTS, recovery="refine")


def test_a_sparsity_is_refused_before_anything_is_computed():
    def mine(source: Source) -> dict[str, Tensor]:
        raise AssertionError("a score was computed")

    with pytest.raises(ValueError, match="sparsity 1"):
        prune(MODEL, 1, INPUTS, labels=LABELS, score=mine, rounds=1, recovery=None)
