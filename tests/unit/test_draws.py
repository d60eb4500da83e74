"""Draws of images: balanced or uniform, seeded, and recorded."""

from __future__ import annotations

import pytest
import torch

from prunetransfer.datasets.splits import SAMPLINGS, Split, balanced_subset, draw_images, joined, uniform_subset


def test_balanced_subset_is_balanced_exact_and_seeded():
    labels = torch.arange(10).repeat_interleave(torch.arange(20, 30))
    drawn = balanced_subset(labels, 57, seed=0)
    assert drawn.tolist() == sorted(set(drawn.tolist())) and len(drawn) == 57
    assert sorted(labels[drawn].bincount().tolist()) == [5] * 3 + [6] * 7
    assert torch.equal(balanced_subset(labels, 57, seed=0), drawn)
    assert not torch.equal(balanced_subset(labels, 57, seed=1), drawn)
    assert set(balanced_subset(labels, 30, seed=0).tolist()) < set(drawn.tolist())


def test_balanced_subset_fills_small_classes_from_the_others():
    labels = torch.tensor([0] * 2 + [1] * 50 + [2] * 5)
    assert labels[balanced_subset(labels, 27, seed=0)].bincount().tolist() == [2, 20, 5]
    assert balanced_subset(labels, 1000, seed=0).tolist() == list(range(57))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_drawing_nothing_is_refused(sampling):
    with pytest.raises(ValueError, match="cannot draw 0 images"):
        SAMPLINGS[sampling](torch.tensor([0, 1]), 0, seed=0)


def test_uniform_subset_takes_classes_as_often_as_they_are_there():
    labels = torch.tensor([0] * 100 + [1] * 300)
    drawn = uniform_subset(labels, 100, seed=0)
    assert drawn.tolist() == sorted(set(drawn.tolist())) and len(drawn) == 100
    assert torch.equal(uniform_subset(labels, 100, seed=0), drawn)
    assert not torch.equal(uniform_subset(labels, 100, seed=1), drawn)
    assert uniform_subset(labels, 1000, seed=0).tolist() == list(range(400))
    # Of 100 draws, 25 are expected in the first class and its standard deviation is 3.8; over 40 seeds, 0.6.
    of_the_first = [100 - int(labels[uniform_subset(labels, 100, seed)].sum()) for seed in range(40)]
    assert len(set(of_the_first)) > 5
    assert sum(of_the_first) / 40 == pytest.approx(25, abs=3)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_what_was_drawn_is_recorded(sampling):
    labels = torch.tensor([0] * 10 + [2] * 30)
    split = Split(torch.arange(40).view(40, 1, 1, 1), labels, ("a", "b", "c"))
    drawn, record = draw_images(split, 12, sampling, seed=3)
    chosen = drawn.images.flatten()
    assert torch.equal(chosen, SAMPLINGS[sampling](labels, 12, 3)) and torch.equal(drawn.labels, labels[chosen])
    first = int((drawn.labels == 0).sum())
    per_class = {"a": first, "b": 0, "c": 12 - first}
    assert record == {"images": {"sampling": sampling, "seed": 3, "per_class": per_class}}
    assert sampling == "uniform" or first == 6


def test_images_beside_are_drawn_in_the_same_number_and_their_classes_follow():
    labels = torch.tensor([0] * 10 + [1] * 30)
    split = Split(torch.arange(40).view(40, 1, 1, 1), labels, ("a", "b"))
    other = Split(100 + torch.arange(8).view(8, 1, 1, 1), torch.tensor([0] * 4 + [1] * 4), ("a", "c"))
    drawn, record = draw_images(split, 6, "balanced", 3, [other])
    alone = [draw_images(each, 6, "balanced", 3)[0] for each in (split, other)]
    assert torch.equal(drawn.images, torch.cat([each.images for each in alone]))
    assert torch.equal(drawn.labels, torch.cat([alone[0].labels, alone[1].labels + 2]))
    assert drawn.classes == ("a", "b", "a", "c")
    assert record["images"]["per_class"] == {"a": 3, "b": 3} and record["images"]["beside"] == [{"a": 3, "c": 3}]
    with pytest.raises(ValueError, match="one size, not 1×1 and 2×1"):
        joined([split, Split(torch.zeros(1, 2, 1, 3), torch.tensor([0]), ("d",))])
