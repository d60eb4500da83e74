"""Mixtures of datasets: what they show, what their classes are called, and that nothing is decoded early."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from prunetransfer.datasets.loading import load_samples, view
from prunetransfer.datasets.mixtures import mixed, without_parts
from prunetransfer.datasets.samples import Samples

BOTH = {"parts": {"digits": {"kind": "digits", "seed": 1}, "letters": {"kind": "glyphs", "train_per_class": 2}}}


class Numbered(Sequence):
    """Images whose grey level is their number from `first`; `decoded` has those that were asked for."""

    def __init__(self, first: int, count: int, decoded: list[int]):
        self.first, self.count, self.decoded = first, count, decoded

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Image.Image:
        self.decoded.append(self.first + index)
        return Image.new("L", (1, 1), self.first + index)


@pytest.fixture
def decoded() -> list[int]:
    return []


@pytest.fixture
def parts(decoded) -> dict[str, Samples]:
    first = Samples(Numbered(0, 4, decoded), np.array([0, 1, 1, 0]), ["a", "b"], {"hidden": ["x"]})
    second = Samples(Numbered(4, 3, decoded), np.array([2, 0, 1]), ["b", "c", "d"], {"hidden": ["y"], "deep": ["z"]})
    return {"one": first, "two": second}


def levels(samples: Samples) -> list[int]:
    return [image.getpixel((0, 0)) for image in samples.images]


def test_images_come_in_order_and_classes_are_told_apart_by_their_parts(parts):
    found = mixed(parts)
    assert levels(found) == list(range(7)) and len(found.images) == 7
    assert found.classes == ["one: a", "one: b", "two: b", "two: c", "two: d"]
    assert found.labels.tolist() == [0, 1, 1, 0, 4, 2, 3] and found.labels.dtype == np.int64
    assert found.passed_over == {"hidden": ["x", "y"], "deep": ["z"]} and found.classes_before == ()
    assert parts["one"].passed_over == {"hidden": ["x"]}
    with pytest.raises(IndexError):
        found.images[7]


def test_nothing_is_decoded_before_it_is_read(parts, decoded):
    selection = {"seed": 0, "classes": ["two: d", "one: b"], "limit": 2}
    few = view(mixed(parts), "train", selection)
    assert decoded == [] and few.classes == ["two: d", "one: b"]
    assert levels(few) == decoded and len(decoded) == 2 and 4 in decoded


def test_a_mixture_within_a_mixture_is_told_apart_twice(parts):
    inner = mixed(parts)
    found = mixed({"all": inner, "one": parts["one"]})
    assert found.classes[:3] == ["all: one: a", "all: one: b", "all: two: b"] and found.classes[5:] == [
        "one: a",
        "one: b",
    ]
    assert levels(found) == [*range(7), *range(4)] and found.labels.tolist() == [*inner.labels, 5, 6, 6, 5]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_is_that_of_all_parts(split, tmp_path):
    found = load_samples("mixture", split, BOTH, tmp_path)
    digits = load_samples("digits", split, {"seed": 1}, tmp_path)
    letters = load_samples("glyphs", split, {"train_per_class": 2}, tmp_path)
    own = [*digits.images, *letters.images]
    assert [image.tobytes() for image in found.images] == [image.tobytes() for image in own]
    assert found.labels.tolist() == [*digits.labels, *(letters.labels + 10)]
    assert found.classes == [f"digits: {k}" for k in range(10)] + [f"letters: {name}" for name in letters.classes]


def test_views_over_a_mixture_and_of_its_parts(tmp_path):
    few = {"kind": "digits", "selections": [{"classes": ["7", "2"], "seed": 0}]}
    first, second = {"per_class": {"train": 3}, "seed": 0}, {"classes": ["few: 2", 2], "seed": 0}
    settings = {"parts": {"few": few, "letters": BOTH["parts"]["letters"]}, "selections": [first, second]}
    found = load_samples("mixture", "train", settings, tmp_path)
    assert found.classes == ["few: 2", "letters: A"] and np.bincount(found.labels).tolist() == [3, 2]
    names = ["few: 7", "few: 2", *(f"letters: {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")]
    assert found.classes_before == [names, names]


def test_a_part_is_held_to_what_its_kind_is_held_to(tmp_path):
    lone = {"kind": "folder", "path": "."}
    (tmp_path / "train/a").mkdir(parents=True)
    (tmp_path / "test/a").mkdir(parents=True)
    for split in ("train", "test"):
        Image.new("L", (2, 2)).save(tmp_path / split / "a/0.png")
    with pytest.raises(ValueError, match="a task needs at least two classes, got a"):
        load_samples("mixture", "train", {"parts": BOTH["parts"] | {"lone": lone}}, tmp_path)


def test_what_a_mixture_is_made_from_is_no_mixture():
    made, digits = {"kind": "procedural"}, {"kind": "digits"}
    inner = {"kind": "mixture", "parts": {"digits": digits, "made": made}}
    assert list(without_parts({"kind": "mixture", "parts": {"inner": inner, "again": digits}})) == [
        digits,
        made,
        digits,
    ]
    assert list(without_parts(made)) == [made]
