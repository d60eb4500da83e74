from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from prunetransfer.datasets.kinds import glyphs, textures
from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.samples import Samples, held_out
from prunetransfer.datasets.splits import SAMPLINGS, Split, balanced_subset, draw_images, joined, uniform_subset

FEW = {"train_per_class": 3, "test_per_class": 2}
GENERATED = [("digits", {}), ("glyphs", FEW), ("textures", FEW)]


def grey(level: int, shape: tuple[int, int] = (2, 2)) -> Image.Image:
    return Image.fromarray(np.full(shape, level, dtype=np.uint8))


def contents(samples: Samples) -> list[bytes]:
    return [image.tobytes() for image in samples.images]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes one tiny image at each path given, its grey level the path's number; returns the root."""

    def make(*paths: str) -> Path:
        for level, path in enumerate(paths):
            target = tmp_path / "images" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            grey(level).save(target, "PNG")
        return tmp_path / "images"

    return make


# Samples


@pytest.mark.parametrize(
    ("labels", "classes", "complaint"),
    [
        ([0, 2], ["cats", "dogs"], "label 2 is out of range: 2 classes allow 0 to 1"),
        ([-1, 0], ["cats", "dogs"], "label -1 is out of range"),
        ([0, 1, 1], ["cats", "dogs"], "2 images but 3 labels"),
    ],
)
def test_samples_refuse_labels_that_name_nothing(labels, classes, complaint):
    with pytest.raises(ValueError, match=complaint):
        Samples([grey(0), grey(1)], np.array(labels), classes)


@pytest.mark.parametrize(
    ("kind", "split", "settings", "complaints"),
    [
        ("glyph", "train", {}, ["'glyph'", "digits, folder, glyphs, huggingface, npz, parquet, procedural, textures,"]),
        ("digits", "val", {}, ["'val'", "train, test"]),
        ("textures", "train", {"sed": 1}, ["'textures'", "'sed'", "seed, train_per_class, test_per_class"]),
        ("folder", "train", {}, ["'folder'", "'path'"]),
    ],
)
def test_load_samples_says_what_is_allowed(kind, split, settings, complaints, tmp_path):
    with pytest.raises(ValueError) as error:
        load_samples(kind, split, settings, tmp_path)
    assert all(complaint in str(error.value) for complaint in complaints)


def test_held_out_takes_its_share_of_every_class():
    labels = np.repeat([0, 1, 2], [10, 5, 2])
    chosen = held_out(labels, 0.4, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [4, 2, 1]
    assert (held_out(labels, 0.4, seed=0) == chosen).all()
    assert (held_out(labels, 0.4, seed=1) != chosen).any()


# Generated kinds


@pytest.mark.parametrize(("kind", "settings"), GENERATED)
def test_seed_decides_the_images(kind, settings, tmp_path):
    def bytes_of(seed: int) -> list[bytes]:
        return contents(load_samples(kind, "train", {**settings, "seed": seed}, tmp_path))

    assert bytes_of(0) == bytes_of(0)
    assert bytes_of(0) != bytes_of(1)


@pytest.mark.parametrize(("kind", "settings"), GENERATED)
def test_train_and_test_share_classes_but_no_image(kind, settings, tmp_path):
    train, test = (load_samples(kind, split, settings, tmp_path) for split in ("train", "test"))
    assert train.classes == test.classes
    assert train.labels.dtype == test.labels.dtype == np.int64
    assert not set(contents(train)) & set(contents(test))


def test_digits_are_all_there_and_stratified(tmp_path):
    train, test = (load_samples("digits", split, {}, tmp_path) for split in ("train", "test"))
    assert (len(train.images), len(test.images)) == (1078, 719)
    share = np.bincount(test.labels) / (np.bincount(train.labels) + np.bincount(test.labels))
    assert np.abs(share - 0.4).max() < 0.005
    assert max(image.getextrema()[1] for image in train.images) == 255


@pytest.mark.parametrize(("kind", "classes"), [("glyphs", 26), ("textures", 10)])
def test_counts_are_those_asked_for(kind, classes, tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        assert np.bincount(load_samples(kind, split, FEW, tmp_path).labels).tolist() == [count] * classes


def test_glyphs_test_on_fonts_of_other_families():
    families = {
        split: {ImageFont.truetype(str(glyphs._font(name)), 10).getname()[0] for name in names}
        for split, names in glyphs.FONTS.items()
    }
    assert len(families["train"]) == 4 and len(families["test"]) == 5
    assert not families["train"] & families["test"]


def test_glyphs_name_a_font_that_is_missing(monkeypatch):
    monkeypatch.setitem(glyphs.FONTS, "train", ("NoSuchFont.ttf",))
    with pytest.raises(ValueError, match=r"NoSuchFont\.ttf: Matplotlib .* lacks a font"):
        glyphs.glyphs("train")


def test_every_glyph_is_drawn_inside_its_image(monkeypatch):
    monkeypatch.setattr(glyphs, "NOISE", 0.0)
    for image in glyphs.glyphs("train", train_per_class=len(glyphs.FONTS["train"])).images:
        pixels = np.asarray(image).astype(int)
        inked = pixels < pixels.max() - 75
        edge = inked.copy()
        edge[1:-1, 1:-1] = False
        assert inked.sum() > 100
        assert edge.sum() < 16  # a tilted serif may touch the frame, no more


@pytest.mark.parametrize("name", sorted(textures.PATTERNS))
def test_every_pattern_has_figure_and_ground(name, monkeypatch):
    u, v = np.meshgrid(np.linspace(-3, 3, 64), np.linspace(-3, 3, 64))
    values = textures.PATTERNS[name](u[None], v[None], np.random.default_rng(0))
    assert values.shape == (1, 64, 64)
    assert 0 <= values.min() < 0.2 and 0.8 < values.max() <= 1
    assert 0.1 < values.mean() < 0.9


# Folders


def test_folder_reads_its_splits_in_order(folder, tmp_path):
    root = folder("train/dog/2.png", "train/dog/10.PNG", "train/cat/x.bmp", "test/cat/y.png", "test/dog/z.png")
    (root / "train" / ".cache").mkdir()
    (root / "train" / "dog" / ".hidden.png").touch()
    (root / "train" / "dog" / "notes.txt").touch()
    train = load_samples("folder", "train", {"path": "images"}, tmp_path)
    test = load_samples("folder", "test", {"path": str(root)}, "elsewhere")
    assert train.classes == test.classes == ["cat", "dog"]
    assert [image.getpixel((0, 0)) for image in train.images] == [2, 1, 0]
    assert train.labels.tolist() == [0, 1, 1]
    assert [image.getpixel((0, 0)) for image in test.images] == [3, 4]


def test_what_a_folder_holds_beside_its_images_is_named(folder, tmp_path):
    root = folder(
        *("train/a/0.png", "train/a/1.jfif", "train/a/notes.txt", "train/a/more/deep/0.png", "train/a/.0.png"),
        *("train/b/0.png", "train/0.png", "train/__MACOSX/b/0.png", "README", "val/a/0.png"),
        *("test/a/0.png", "test/b/0.png", "test/b/9.xcf"),
    )
    (root / "train/a/gone.txt").symlink_to(tmp_path / "nowhere")
    train, test = (load_samples("folder", split, {"path": "images"}, tmp_path) for split in ("train", "test"))
    assert train.classes == ["a", "b"] and len(train.images) == 3 and len(test.images) == 2
    elsewhere = {"in neither split": ["README", "val/a/0.png"]}
    assert test.passed_over == elsewhere | {"without an image's extension": ["test/b/9.xcf"]}
    assert train.passed_over == elsewhere | {
        "hidden": ["train/__MACOSX", "train/a/.0.png"],
        "beside the folders of the classes": ["train/0.png"],
        "deeper than the folder of a class": ["train/a/more/deep/0.png"],
        "without an image's extension": ["train/a/gone.txt", "train/a/notes.txt"],
    }


def test_an_image_behind_a_link_that_leads_nowhere_cannot_be_read(folder, tmp_path):
    root = folder("train/a/1.png", "train/b/0.png", "test/a/0.png", "test/b/0.png")
    (root / "train/a/0.png").symlink_to(tmp_path / "gone.png")
    samples = load_samples("folder", "train", {"path": "images"}, tmp_path)
    with pytest.raises(ValueError, match=r"a/0\.png: a link that leads nowhere, to .*/gone\.png"):
        samples.images[0]


@pytest.mark.parametrize("place", ["train/c", "test/c"])
def test_a_class_behind_a_link_that_leads_nowhere_is_refused(place, folder, tmp_path):
    root = folder("train/a/0.png", "train/b/0.png", "test/a/0.png", "test/b/0.png")
    (root / place).symlink_to(tmp_path / "gone")
    for split in ("train", "test"):
        with pytest.raises(ValueError, match=f"{place}: a link that leads nowhere, where .* folder of a class"):
            load_samples("folder", split, {"path": "images"}, tmp_path)


def test_classes_are_alike_whose_accents_are_composed_or_not(folder, tmp_path):
    folder("train/caf\u00e9/0.png", "train/tea/0.png", "test/cafe\u0301/0.png", "test/tea/0.png")
    train, test = (load_samples("folder", split, {"path": "images"}, tmp_path) for split in ("train", "test"))
    assert train.classes == test.classes == ["caf\u00e9", "tea"]
    assert contents(test) == [grey(2).tobytes(), grey(3).tobytes()]
    folder("train/cafe\u0301/0.png")
    with pytest.raises(ValueError, match="class caf\u00e9 is there twice"):
        load_samples("folder", "train", {"path": "images"}, tmp_path)


def test_names_that_are_not_utf8_are_written_with_escapes(folder, tmp_path):
    root = folder("b/0.png", "b/1.png")
    place = os.fsencode(root) + b"/M\xfcnchen"
    os.mkdir(place)
    for k in range(2):
        Path(os.fsdecode(place), f"{k}.png").write_bytes(b"no image")
    samples = load_samples("folder", "train", {"path": "images"}, tmp_path)
    assert samples.classes == [r"M\xfcnchen", "b"]
    with pytest.raises(ValueError, match=r"M\\xfcnchen/\d\.png: not a readable image"):
        samples.images[0]


def test_folder_takes_val_where_there_is_no_test(folder, tmp_path):
    folder("train/a/0.png", "train/b/0.png", "val/a/0.png", "val/b/0.png")
    assert [i.getpixel((0, 0)) for i in load_samples("folder", "test", {"path": "images"}, tmp_path).images] == [2, 3]


def test_folder_without_splits_holds_out_a_fifth_of_each_class(folder, tmp_path):
    folder(*(f"{name}/{k}.png" for name in ("bus", "car", "train") for k in range(10)))

    def load(split: str, seed: int = 0) -> Samples:
        return load_samples("folder", split, {"path": "images", "seed": seed}, tmp_path)

    train, test = load("train"), load("test")
    assert test.classes == ["bus", "car", "train"]
    assert np.bincount(test.labels).tolist() == [2, 2, 2]
    assert sorted(contents(train) + contents(test)) == sorted(grey(level).tobytes() for level in range(30))
    assert contents(load("test")) == contents(test) != contents(load("test", seed=1))


@pytest.mark.parametrize(
    ("files", "complaints"),
    [
        ([], ["images: no such folder"]),
        (["train/a/0.png", "train/b/0.png"], ["images: found only train/;", "test/ (or val/)", "one folder a class"]),
        (["test/a/0.png", "val/a/0.png"], ["images: found only test/ and val/;", "train/"]),
        (
            ["train/a/0.png", "train/b/0.png", "test/a/0.png", "test/c/0.png"],
            ["train split: no images for class c"],
        ),
        (["train/a/0.png", "test/a/0.png"], ["images, train split: a task needs at least two classes, got a"]),
        (["0.png", "1.png"], ["images, train split: a task needs at least two classes, got none"]),
        (["a/0.png", "a/1.png", "b/0.txt"], ["images, train split: no images for class b", "b/0.txt", "in <class>/"]),
        (
            ["train/a/more/0.png", "train/b/more/0.png", "test/a/more/0.png", "test/b/more/0.png"],
            ["no images for class a, b; passed over 2 deeper than the folder of a class: train/a/more/0.png"],
        ),
        (["train/a/0.png", "train/b/0.png", "val/0.png"], ["found only train/;", "val/ holds no folder a class"]),
        (
            ["training/a/0.png", "training/b/0.png", "testing/a/0.png", "testing/b/0.png"],
            [
                "no images for class testing, training; passed over 4",
                "`train` and `test` name the folders of the splits",
            ],
        ),
        (
            [f"images/train/{name}/0.png" for name in "abcdef"],
            ["got images; passed over 6", "images/train/e/0.png and 1 more; taken are", "`path` may lead further down"],
        ),
    ],
)
def test_folder_says_what_is_wrong_with_it(files, complaints, folder, tmp_path):
    folder(*files)
    with pytest.raises(ValueError) as error:
        load_samples("folder", "train", {"path": "images"}, tmp_path)
    assert all(complaint in str(error.value) for complaint in complaints)


def test_folder_takes_the_names_of_its_splits(folder, tmp_path):
    folder("ILSVRC/train/a/0.png", "ILSVRC/train/b/0.png", "held/a/0.png", "held/b/0.png", "val/a/0.png")
    settings = {"path": "images", "train": "ILSVRC/train", "test": "held"}
    levels = {split: [0, 1] if split == "train" else [2, 3] for split in ("train", "test")}
    for split, expected in levels.items():
        images = load_samples("folder", split, settings, tmp_path).images
        assert [image.getpixel((0, 0)) for image in images] == expected
    with pytest.raises(ValueError, match="images/train: no such folder"):
        load_samples("folder", "train", {"path": "images", "test": "held"}, tmp_path)


# Balanced draws


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
