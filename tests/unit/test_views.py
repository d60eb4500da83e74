from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prunetransfer.datasets.loading import load_samples, view
from prunetransfer.datasets.samples import Samples

SHARED_DATA = Path(os.environ.get("PRUNETRANSFER_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
CLASSES = ["ant", "bee", "cow", "dog"]
SIZES = [40, 20, 9, 1]


class Numbered(Sequence):
    """Images whose grey level is their index; counts what is decoded."""

    def __init__(self, count: int):
        self.count = count
        self.decoded: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Image.Image:
        self.decoded.append(index)
        return Image.new("L", (1, 1), index)


@pytest.fixture
def samples() -> Samples:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(4), SIZES))
    return Samples(Numbered(len(labels)), labels, CLASSES)


def chosen(samples: Samples) -> list[int]:
    return [image.getpixel((0, 0)) for image in samples.images]


def seen(samples: Samples, split: str = "train", **selection) -> Samples:
    return view(samples, split, {"seed": 0, **selection})


def test_classes_come_by_name_or_number_in_the_order_asked_for(samples):
    found = seen(samples, classes=["dog", 1])
    assert found.classes == ["dog", "bee"]
    assert np.bincount(found.labels).tolist() == [1, 20]
    assert [CLASSES[samples.labels[k]] for k in chosen(found)] == [found.classes[label] for label in found.labels]


def test_only_the_images_of_a_view_are_decoded(samples):
    found = seen(samples, classes=["cow", "dog"], limit=5)
    assert samples.images.decoded == []
    assert chosen(found) == samples.images.decoded == sorted(samples.images.decoded)
    assert len(found.images) == 5


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (["ant", "bea"], r"no class 'bea' among the 4, 0 to 3\. Did you mean 'bee'\?"),
        (["ant", 4], "no class 4 among the 4, 0 to 3"),
        (["ant", -1], "no class -1 among the 4"),
        (["ant", "bee", 0], "classes ant, bee, 0: one is there twice"),
    ],
)
def test_classes_that_are_not_there_are_refused(wanted, complaint, samples):
    with pytest.raises(ValueError, match=complaint):
        seen(samples, classes=wanted)


def test_per_class_takes_at_most_so_many_of_each(samples):
    assert np.bincount(seen(samples, per_class=10).labels).tolist() == [10, 10, 9, 1]


def test_limit_keeps_the_proportions_and_every_class(samples):
    assert np.bincount(seen(samples, limit=35).labels).tolist() == pytest.approx([20, 10, 4, 1], abs=1)
    assert np.bincount(seen(samples, limit=4).labels).tolist() == [1, 1, 1, 1]
    assert chosen(seen(samples, limit=1000)) == list(range(70))
    with pytest.raises(ValueError, match="limit 3: each of the 4 classes keeps at least one image"):
        seen(samples, limit=3)


@pytest.mark.parametrize("key", ["limit", "per_class"])
def test_draws_are_seeded_and_a_smaller_one_is_part_of_a_larger(key, samples):
    draws = [set(chosen(seen(samples, **{key: count}))) for count in (4, 9, 15, 30)]
    assert all(small < large for small, large in itertools.pairwise(draws))
    assert set(chosen(seen(samples, **{key: 9}))) == draws[1]
    assert set(chosen(seen(samples, seed=1, **{key: 9}))) != draws[1]


def test_a_split_may_have_a_limit_of_its_own(samples):
    limits = {"train": 30, "test": None}
    assert len(seen(samples, "train", limit=limits).labels) == 30
    assert len(seen(samples, "test", limit=limits).labels) == 70


def test_views_follow_each_other(tmp_path):
    few = {"classes": ["7", "2", "5"], "seed": 0}
    fewer = {"classes": ["5", "7"], "per_class": {"train": 4, "test": None}, "seed": 0}
    train, test = (load_samples("digits", split, {"selections": [few, fewer]}, tmp_path) for split in ("train", "test"))
    assert train.classes == test.classes == ["5", "7"]
    assert np.bincount(train.labels).tolist() == [4, 4]
    whole = load_samples("digits", "test", {}, tmp_path)
    assert np.bincount(test.labels).tolist() == [np.sum(whole.labels == 5), np.sum(whole.labels == 7)]
    fives = [image.tobytes() for image, label in zip(whole.images, whole.labels, strict=True) if label == 5]
    assert [image.tobytes() for image, label in zip(test.images, test.labels, strict=True) if label == 0] == fives


def test_a_view_may_leave_out_a_class_without_images(tmp_path):
    for path in ("train/a", "train/b", "train/rare", "test/a", "test/b"):
        (tmp_path / path).mkdir(parents=True)
        Image.new("L", (2, 2)).save(tmp_path / path / "0.png")
    with pytest.raises(ValueError, match=r"\., test split: no images for class rare"):
        load_samples("folder", "test", {"path": "."}, tmp_path)
    selections = [{"classes": ["a", "b"], "seed": 0}]
    assert load_samples("folder", "test", {"path": ".", "selections": selections}, tmp_path).classes == ["a", "b"]


def test_imagenet_tasks_are_views_by_number(tmp_path):
    if not (SHARED_DATA / "imagenet10.json").is_file():
        pytest.skip(f"no {SHARED_DATA / 'imagenet10.json'}: this test reads the ten tasks")
    wnids = [f"n{number:08d}" for number in range(1000, 2000)]
    samples = Samples(Numbered(1000), np.arange(1000), wnids)
    tasks = json.loads((SHARED_DATA / "imagenet10.json").read_text())["tasks"]
    for task in tasks:
        found = seen(samples, classes=task)
        assert found.classes == [wnids[number] for number in task]
        assert sorted(found.labels) == list(range(10))
    assert len({number for task in tasks for number in task}) == 100
