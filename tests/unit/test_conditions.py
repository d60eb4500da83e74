"""The steps of views that make other conditions: fewer or wrongly labelled train images, other pixels."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prunetransfer.datasets.loading import load_samples, view
from prunetransfer.datasets.prepared import Preparation, refuse_overlap, write_split
from prunetransfer.datasets.samples import Samples
from prunetransfer.datasets.splits import read_split
from prunetransfer.datasets.views import corrupt
from prunetransfer.storage.artifacts import read_metadata, read_tensors

CLASSES = ["ant", "bee", "cow", "dog"]
SIZES = [40, 20, 10, 1]
FEW = {"train_per_class": 3, "test_per_class": 2}


@pytest.fixture
def samples() -> Samples:
    """Images whose grey level is their index."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(4), SIZES))
    return Samples([Image.new("L", (1, 1), k) for k in range(len(labels))], labels, CLASSES)


def chosen(samples: Samples) -> list[int]:
    return [image.getpixel((0, 0)) for image in samples.images]


def seen(samples: Samples, split: str = "train", **selection) -> Samples:
    return view(samples, split, {"seed": 0, **selection})


def prepared(path: Path, split: str = "test", size: int = 64, threads: int = 1, **selection) -> np.ndarray:
    """The pixels of the textures as a view of them is prepared."""
    selections = [{"seed": 0, **selection}] if selection else []
    samples = load_samples("textures", split, FEW | {"selections": selections}, ".")
    write_split(path, samples, Preparation(size), {"selections": selections}, threads=threads)
    return read_tensors(path)["images"]


def drawn_with(corruption: str, **options) -> dict:
    return {"corrupt": {"kind": corruption, "severity": 3, "splits": ["test"]} | options}


def test_a_long_tail_falls_exponentially_in_a_random_order_of_the_classes(samples):
    order = np.random.default_rng(0).permutation(4)
    expected = [max(round(SIZES[label] * 100 ** (-np.argsort(order)[label] / 3)), 1) for label in range(4)]
    found = seen(samples, imbalance={"ratio": 100.0})
    assert np.bincount(found.labels).tolist() == expected
    assert [samples.labels[k] for k in chosen(found)] == found.labels.tolist()
    others = [np.bincount(seen(samples, seed=seed, imbalance={"ratio": 100.0}).labels).tolist() for seed in range(5)]
    assert len(set(map(tuple, others))) > 1


@pytest.mark.parametrize(
    "selections",
    [
        [{"imbalance": {"ratio": ratio}} for ratio in (100.0, 10.0, 2.0, 1.0)],
        [{"label_noise": share} for share in (0.0, 0.1, 0.5, 1.0)],
    ],
    ids=["imbalance", "label_noise"],
)
def test_the_milder_condition_holds_the_stronger_one_or_is_held_by_it(selections, samples):
    if "imbalance" in selections[0]:
        draws = [set(chosen(seen(samples, **selection))) for selection in selections]
    else:
        labels = [seen(samples, **selection).labels for selection in selections]
        draws = [{(k, own[k]) for k in np.flatnonzero(own != samples.labels)} for own in labels]
        assert [len(draw) for draw in draws] == [round(selection["label_noise"] * 71) for selection in selections]
    assert all(small < large for small, large in itertools.pairwise(draws))


def test_wrong_labels_are_spread_evenly_over_the_other_classes():
    labels = np.repeat(np.arange(4), 3000)
    plain = Samples([Image.new("L", (1, 1))] * len(labels), labels, CLASSES)
    noisy = seen(plain, label_noise=0.5).labels
    counts = np.zeros((4, 4), dtype=int)
    np.add.at(counts, (labels, noisy), 1)
    assert counts.diagonal().sum() == 6000
    assert np.all(np.abs(counts[~np.eye(4, dtype=bool)] - 500) < 5 * np.sqrt(500))
    assert (seen(plain, seed=1, label_noise=0.5).labels != noisy).any()


def test_parts_are_disjoint_and_together_the_whole_class_by_class(samples):
    few = seen(samples, classes=["ant", "bee", "cow"])
    parts = [seen(few, part={"number": number, "of": 3}) for number in (1, 2, 3)]
    assert sorted(itertools.chain(*map(chosen, parts))) == sorted(chosen(few))
    for part in parts:
        assert np.all(np.abs(np.bincount(part.labels) - np.array(SIZES[:3]) / 3) < 1)
    assert max(len(part.labels) for part in parts) - min(len(part.labels) for part in parts) <= 1
    assert chosen(seen(few, seed=1, part={"number": 1, "of": 3})) != chosen(parts[0])
    with pytest.raises(ValueError, match="part 4 of 3: allowed are 1 to 3"):
        seen(few, part={"number": 4, "of": 3})
    with pytest.raises(ValueError, match="part 1 of 3: class dog has 1 train images, too few for 3 parts"):
        seen(samples, part={"number": 1, "of": 3})


@pytest.mark.parametrize(
    "selection", [{"imbalance": {"ratio": 100.0}}, {"label_noise": 0.5}, {"part": {"number": 1, "of": 3}}]
)
def test_the_test_split_stays_as_it_is(selection, samples):
    assert seen(samples, "test", **selection) is samples


def test_steps_are_taken_in_one_order_whatever_the_order_of_the_keys(samples):
    keys = {"label_noise": 0.2, "per_class": 10, "classes": ["bee", "ant"]}
    one, other = seen(samples, **keys), seen(samples, **dict(reversed(keys.items())))
    assert chosen(one) == chosen(other) and one.labels.tolist() == other.labels.tolist()
    true = [one.classes.index(CLASSES[samples.labels[k]]) for k in chosen(one)]
    assert np.sum(one.labels != true) == 4  # of the 20 that are left


def test_fewer_pixels_are_those_of_the_reduced_image(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    samples = Samples([image, image.resize((9, 8))], np.array([0, 1]), ["a", "b"])
    write_split(tmp_path / "t", seen(samples, "test", resolution={"train": None, "test": 20}), Preparation(32), {})
    found = read_tensors(tmp_path / "t")["images"]
    assert np.array_equal(found[0], Preparation(32)(image.resize((30, 20), Image.Resampling.BICUBIC)))
    assert np.array_equal(found[1], Preparation(32)(samples.images[1]))  # has fewer
    assert seen(samples, "train", resolution={"train": None, "test": 20}) is samples
    assert seen(samples, "train", resolution=20).before and seen(samples, "test", resolution=20).before


def test_reduced_images_may_be_of_any_mode(tmp_path):
    image = Image.new("P", (40, 40), 1)
    image.putpalette([10, 20, 30, 200, 0, 0])
    samples = Samples([image, image], np.array([0, 1]), ["a", "b"])
    write_split(tmp_path / "t", seen(samples, resolution=8), Preparation(16), {})
    assert np.all(read_tensors(tmp_path / "t")["images"] == [200, 0, 0])


@pytest.mark.parametrize("selection", [drawn_with("fog"), {"resolution": 4}], ids=["corrupt", "resolution"])
def test_a_condition_does_not_hide_that_a_test_image_is_a_train_image(selection, tmp_path):
    if "corrupt" in selection:
        pytest.importorskip("imagecorruptions", exc_type=ImportError)
    images = [Image.fromarray(np.random.default_rng(k).integers(0, 256, (40, 40, 3), np.uint8)) for k in range(3)]
    train = Samples(images, np.array([0, 1, 0]), ["a", "b"])
    test = seen(Samples(images[2:], np.array([0]), ["a", "b"]), "test", **selection)
    digests = {
        split: write_split(tmp_path / split, samples, Preparation(32), {})
        for split, samples in (("train", train), ("test", test))
    }
    with pytest.raises(ValueError, match="1 of 1 test images are train images too"):
        refuse_overlap({"train": train, "test": test}, digests)


def test_severity_0_changes_nothing_and_needs_no_library(tmp_path, monkeypatch):
    clean = prepared(tmp_path / "clean")
    monkeypatch.setitem(sys.modules, "imagecorruptions", None)
    assert np.array_equal(prepared(tmp_path / "0", **drawn_with("fog", severity=0)), clean)
    with pytest.raises(ValueError, match=r"corrupt: the package imagecorruptions cannot be used .*\[corruptions\]'"):
        prepared(tmp_path / "3", **drawn_with("fog"))


def test_too_few_pixels_are_refused(tmp_path):
    pytest.importorskip("imagecorruptions", exc_type=ImportError)
    with pytest.raises(ValueError, match=r"a prepared image has 24 × 24 pixels; allowed are .* at least 32"):
        prepared(tmp_path / "t", size=24, **drawn_with("fog"))


@pytest.mark.parametrize("kind", corrupt.Corruption.__args__)
def test_a_corruption_depends_on_seed_and_image_alone(kind, tmp_path):
    """Neither on threads, nor on the other images, nor on what else draws at random; the state of that stays."""
    pytest.importorskip("imagecorruptions", exc_type=ImportError)
    clean = prepared(tmp_path / "clean", size=32)
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    one = prepared(tmp_path / "1", size=32, **drawn_with(kind))
    assert np.array_equal(np.random.get_state()[1], state)
    np.random.seed(2)
    assert np.array_equal(prepared(tmp_path / "2", size=32, threads=2, **drawn_with(kind)), one)
    assert one.dtype == np.uint8 and one.shape == clean.shape
    assert all((a != b).any() for a, b in zip(one, clean, strict=True))
    few = prepared(tmp_path / "few", size=32, per_class={"train": None, "test": 1}, **drawn_with(kind))
    assert len(few) < len(one)
    assert {image.tobytes() for image in few} < {image.tobytes() for image in one}


def test_severities_and_seeds_differ_and_labels_stay(tmp_path):
    pytest.importorskip("imagecorruptions", exc_type=ImportError)
    clean, weak, strong, other = (
        prepared(tmp_path / name, **selection).astype(int)
        for name, selection in {
            "clean": {},
            "weak": drawn_with("gaussian_noise", severity=1),
            "strong": drawn_with("gaussian_noise", severity=5),
            "other": drawn_with("gaussian_noise", severity=1) | {"seed": 1},
        }.items()
    )
    assert 10 < np.abs(weak - clean).mean() < np.abs(strong - clean).mean()
    assert (weak != other).any()
    assert np.array_equal(read_split(tmp_path / "weak").labels, read_split(tmp_path / "clean").labels)
    (selection,) = read_metadata(tmp_path / "weak")["settings"]["selections"]
    assert selection["corrupt"] == {"kind": "gaussian_noise", "severity": 1, "splits": ["test"]}


def test_train_images_are_corrupted_where_the_view_says_so(tmp_path):
    pytest.importorskip("imagecorruptions", exc_type=ImportError)
    clean = prepared(tmp_path / "clean", "train")
    assert np.array_equal(prepared(tmp_path / "test", "train", **drawn_with("fog")), clean)
    both = prepared(tmp_path / "both", "train", **drawn_with("fog", splits=["train", "test"]))
    assert (both != clean).any(axis=(1, 2, 3)).all()
