"""Datasets in folders of images: their splits, classes and names, and what is said of a wrong one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from unit.pictures import contents, grey

from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.samples import Samples


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
