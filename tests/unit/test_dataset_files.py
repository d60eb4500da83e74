"""Datasets in files of arrays, in Parquet files, and on the Hugging Face hub."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from prunetransfer.datasets import downloads
from prunetransfer.datasets.downloads import download, folder_of
from prunetransfer.datasets.kinds import parquet
from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.samples import Samples
from prunetransfer.settings.registry import find

SHARED_DATA = Path(os.environ.get("PRUNETRANSFER_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def origin(entry: dict[str, Any]) -> dict[str, Any]:
    return downloads.origin(entry, find("datasets", entry["kind"]).needs["downloaded_by"])


def levels(samples: Samples) -> list[int]:
    return [image.convert("L").getpixel((0, 0)) for image in samples.images]


def both(kind: str, settings: dict, root: Path) -> list[Samples]:
    return [load_samples(kind, split, settings, root) for split in ("train", "test")]


# --- npz --------------------------------------------------------------------------------------------------------------


def stack(count: int, *shape: int, first: int = 0) -> np.ndarray:
    """uint8 [count, *shape], each image of one level."""
    return np.stack([np.full(shape, first + k, dtype=np.uint8) for k in range(count)])


def test_npz_with_a_count_of_train_images(tmp_path):
    np.savez(tmp_path / "x.npz", images=stack(6, 4, 4), labels=np.array([0, 1, 1, 0, 1, 0]))
    train, test = both("npz", {"path": "x.npz", "train": 4}, tmp_path)
    assert (levels(train), train.labels.tolist()) == ([0, 1, 2, 3], [0, 1, 1, 0])
    assert (levels(test), test.labels.tolist()) == ([4, 5], [1, 0])
    assert train.classes == ["0", "1"] and train.labels.dtype == np.int64
    assert train.images[0].mode == "L"


def test_npz_with_splits_and_names_of_its_own(tmp_path):
    arrays = {f"{split}_images": stack(4, 4, 4, 3, first=10 * k) for k, split in enumerate(("train", "test"))}
    labels = {f"{split}_labels": np.array([[1], [0], [1], [0]], dtype=np.uint8) for split in ("train", "test")}
    np.savez(tmp_path / "x.npz", **arrays, **labels, classes=np.array(["cat", "dog"]))
    train, test = both("npz", {"path": "x.npz"}, tmp_path)
    assert (levels(train), levels(test)) == ([0, 1, 2, 3], [10, 11, 12, 13])
    assert test.labels.tolist() == [1, 0, 1, 0] and test.classes == ["cat", "dog"]


def test_npz_without_splits_holds_out_a_fifth(tmp_path):
    np.savez(tmp_path / "x.npz", images=stack(20, 4, 4), labels=np.repeat([0, 1], 10))
    train, test = both("npz", {"path": "x.npz"}, tmp_path)
    assert np.bincount(test.labels).tolist() == [2, 2]
    assert sorted(levels(train) + levels(test)) == list(range(20))


@pytest.mark.parametrize(
    ("arrays", "settings", "complaint"),
    [
        ({"labels": [0, 1]}, {}, "no array images; it holds labels"),
        ({"images": stack(2, 4, 4) / 255, "labels": [0, 1]}, {}, r"images must be uint8 .* not float64 \(2, 4, 4\)"),
        ({"images": stack(2, 3, 4, 4), "labels": [0, 1]}, {}, r"images must be uint8 .* not uint8 \(2, 3, 4, 4\)"),
        ({"images": stack(2, 4, 4), "labels": [0, 1, 1]}, {}, "labels must be 2 whole numbers"),
        ({"images": stack(2, 4, 4), "labels": [0.0, 1.0]}, {}, "labels must be 2 whole numbers, not float64"),
        ({"images": stack(2, 4, 4), "labels": [0, 1]}, {"train": 2}, "train: 2 of 2 images leaves none to test on"),
        ({"images": stack(3, 4, 4), "labels": [0, -1, 1]}, {"train": 2}, "label -1 is out of range"),
        ({"images": stack(3, 4, 4), "labels": [0, 2, 2]}, {"train": 2}, "no images for class 1"),
        ({"images": stack(2, 4, 4), "labels": np.array([0, {}])}, {}, "not a readable .npz file of plain arrays"),
    ],
)
def test_npz_says_what_is_wrong_with_it(arrays, settings, complaint, tmp_path):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ValueError, match=complaint):
        load_samples("npz", "train", {"path": "x.npz", **settings}, tmp_path)


def test_npz_of_text_labels_and_arrays_of_others(tmp_path):
    """What else is in the file, be it named like labels or not plain, is left alone."""
    others = {"soft_labels": np.array([[900], [1]]), "notes": np.array([{}], dtype=object)}
    np.savez(tmp_path / "x.npz", images=stack(4, 4, 4), labels=np.array(["dog", "cat"] * 2), **others)
    train, test = both("npz", {"path": "x.npz", "train": 2}, tmp_path)
    assert train.classes == test.classes == ["cat", "dog"] and train.labels.tolist() == test.labels.tolist() == [1, 0]


def test_npz_whose_classes_are_bytes_or_numbers_names_them(tmp_path):
    for classes, names in ((np.array([b"cat", b"dog"]), ["cat", "dog"]), (np.array([7, 9]), ["7", "9"])):
        np.savez(tmp_path / "x.npz", images=stack(4, 4, 4), labels=[0, 1, 1, 0], classes=classes)
        assert load_samples("npz", "train", {"path": "x.npz", "train": 2}, tmp_path).classes == names


def test_npz_with_one_split_of_its_own_needs_the_other(tmp_path):
    """The test images are never those of the array that holds both."""
    arrays = {"images": stack(4, 4, 4), "labels": [0, 1, 0, 1]}
    np.savez(tmp_path / "x.npz", **arrays, train_images=arrays["images"], train_labels=arrays["labels"])
    for split in ("train", "test"):
        with pytest.raises(ValueError, match="no array test_images or test_labels; it holds images,"):
            load_samples("npz", split, {"path": "x.npz"}, tmp_path)


def test_npz_that_is_damaged_or_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"x\.npz: no such file"):
        load_samples("npz", "train", {"path": "x.npz"}, tmp_path)
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ValueError, match=r"x\.npz: not a readable"):
        load_samples("npz", "train", {"path": "x.npz"}, tmp_path)


def test_real_digits():
    if not (SHARED_DATA / "mnist.npz").is_file():
        pytest.skip(f"no {SHARED_DATA / 'mnist.npz'}: this test reads real images")
    train, test = both("npz", {"path": "mnist.npz", "train": 4000}, SHARED_DATA)
    assert (len(train.images), len(test.images)) == (4000, 1000)
    assert train.classes == test.classes == [str(digit) for digit in range(10)]
    assert train.images[0].size == (28, 28)


# --- Parquet ----------------------------------------------------------------------------------------------------------


def encoded(level: int, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (level, level, level)).save(file, form)
    return file.getvalue()


def write_parquet(path: Path, first: int, labels: list, names: list[str] | None = None, group: int = 2, **columns):
    cells = [{"bytes": encoded(first + k), "path": f"{first + k}.png"} for k in range(len(labels))]
    table = pa.table({"image": cells, "label": labels, **columns})
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=group)


def test_parquet_in_the_layout_of_hugging_face(tmp_path):
    (tmp_path / "data").mkdir()
    write_parquet(tmp_path / "data/train-00000-of-00002.parquet", 0, [1, 0, 1, 1, 0], ["cat", "dog"])
    write_parquet(tmp_path / "data/train-00001-of-00002.parquet", 5, [0, 1], ["cat", "dog"])
    write_parquet(tmp_path / "data/test-00000-of-00001.parquet", 7, [0, 1, 0], ["cat", "dog"])
    train, test = both(
        "parquet", {"train": "data/train-*.parquet", "test": ["data/test-00000-of-00001.parquet"]}, tmp_path
    )
    assert (levels(train), train.labels.tolist()) == (list(range(7)), [1, 0, 1, 1, 0, 0, 1])
    assert (levels(test), test.labels.tolist()) == ([7, 8, 9], [0, 1, 0])
    assert train.classes == ["cat", "dog"] and train.labels.dtype == np.int64
    assert train.images[6].filename.endswith("train-00001-of-00002.parquet, row group 0, row 1 (6.png)")
    assert [train.images[k].getpixel((0, 0))[0] for k in (6, 0, 3)] == [6, 0, 3]


def test_parquet_files_are_joined_by_the_names_of_their_classes(tmp_path):
    write_parquet(tmp_path / "train-0.parquet", 0, [0, 1], ["cat", "dog"])
    write_parquet(tmp_path / "train-1.parquet", 2, [0, 1, 2], ["dog", "owl", "cat"])
    write_parquet(tmp_path / "test.parquet", 5, ["owl", "dog", "cat"])
    train, test = both("parquet", {"train": "train-*.parquet", "test": "test.parquet"}, tmp_path)
    assert train.classes == test.classes == ["cat", "dog", "owl"]
    assert train.labels.tolist() == [0, 1, 1, 2, 0] and test.labels.tolist() == [2, 1, 0]


def test_parquet_files_whose_labels_differ_in_type_are_joined(tmp_path):
    for name, kind in (("train", pa.int8()), ("test", pa.uint64())):
        write_parquet(tmp_path / f"{name}.parquet", 0, pa.array([0, 1, 1], kind))
    train, test = both("parquet", {"train": "train.parquet", "test": "test.parquet"}, tmp_path)
    assert train.classes == test.classes == ["0", "1"] and train.labels.tolist() == test.labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int8(), pa.string())])
def test_parquet_of_plain_bytes_and_text_is_split(text, tmp_path):
    table = pa.table({"img": [encoded(k) for k in range(20)], "kind": pa.array(["owl", "ape"] * 10).cast(text)})
    pq.write_table(table, tmp_path / "all.parquet")
    train, test = both("parquet", {"train": "all.parquet", "image": "img", "label": "kind"}, tmp_path)
    assert train.classes == ["ape", "owl"]
    assert np.bincount(test.labels).tolist() == [2, 2]
    assert sorted(levels(train) + levels(test)) == list(range(20))
    assert all(level % 2 != label for level, label in zip(levels(test), test.labels, strict=True))


def test_parquet_is_read_a_row_group_at_a_time(tmp_path, monkeypatch):
    write_parquet(tmp_path / "x.parquet", 0, [0, 1] * 10, group=5)
    groups = []
    read = pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda file, k, **o: groups.append(k) or read(file, k, **o))
    parquet._row_group.cache_clear()
    samples = load_samples("parquet", "train", {"train": "x.parquet", "test": "x.parquet"}, tmp_path)
    assert groups == []
    levels(samples)
    assert groups == [0, 1, 2, 3]
    assert parquet._row_group.cache_info().currsize == 2


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"train": "no-*.parquet"}, r"no-\*\.parquet: no such file, nor any that matches"),
        ({"train": "text.parquet"}, r"text\.parquet: not a readable Parquet file"),
        ({"train": "x.parquet", "image": "img"}, r"x\.parquet: no column 'img'; it has image, label, weight"),
        (
            {"train": "x.parquet", "label": "weight"},
            "'weight' must hold whole numbers or text alone, not double",
        ),
        ({"train": "gap.parquet", "test": "gap.parquet"}, "no images for class 1"),
        ({"train": "few.parquet", "test": "few.parquet"}, "label 2 is out of range: 2 classes allow 0 to 1"),
    ],
)
def test_parquet_says_what_is_wrong_with_it(settings, complaint, tmp_path):
    write_parquet(tmp_path / "x.parquet", 0, [0, 1, 0, 1], weight=[0.5] * 4)
    write_parquet(tmp_path / "gap.parquet", 0, [0, 2])
    write_parquet(tmp_path / "few.parquet", 0, [0, 1, 2], ["cat", "dog"])
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(ValueError, match=complaint):
        load_samples("parquet", "train", settings, tmp_path)


@pytest.mark.parametrize(
    ("labels", "names", "complaint"),
    [
        ([0, 1, None], None, "1 of 3 are missing, the first in row 2; it begins with 0, 1, None"),
        ([None, None], None, "2 of 2 are missing, the first in row 0; it begins with None, None"),
        ([1, -1], None, "label -1 is out of range: .* from 0 to below 2, .*; it begins with 1, -1"),
        ([-1, 0], ["a", "b"], "in row 0: label -1 is out of range: 2 classes allow 0 to 1; it begins with -1, 0"),
        ([0, 10**12], None, "label 1000000000000 is out of range: .*; it begins with 0, 1000000000000"),
        (pa.array([0, 2**64 - 1], pa.uint64()), None, "label 18446744073709551615 is out of range"),
        (["a", "c"], ["a", "b"], "in row 1: label 'c' is none of 2 classes; it begins with 'a', 'c'"),
        ([b"a", b"\xff"], None, r"text alone, not b'\\xff'; it begins with b'a', b'\\xff'"),
        ([1.0, 2.0], None, "text alone, not double; it begins with 1.0, 2.0"),
        ([[0], [1]], None, r"text alone, not list<.*>; it begins with \[0\], \[1\]"),
        ([0, 1], ["a", "a"], "names 2 classes, 'a' twice"),
    ],
)
def test_odd_labels_are_refused_by_file_column_and_first_values(labels, names, complaint, tmp_path):
    write_parquet(tmp_path / "x.parquet", 0, labels, names)
    with pytest.raises(ValueError, match=rf"x\.parquet: column 'label' .*{complaint}"):
        load_samples("parquet", "train", {"train": "x.parquet"}, tmp_path)


def test_files_of_which_only_some_name_their_classes_are_refused(tmp_path):
    write_parquet(tmp_path / "train.parquet", 0, [0, 1], ["cat", "dog"])
    write_parquet(tmp_path / "test.parquet", 2, [0, 1])
    with pytest.raises(ValueError, match=r"test\.parquet: .* numbers without names, but .*train\.parquet"):
        load_samples("parquet", "train", {"train": "train.parquet", "test": "test.parquet"}, tmp_path)


def test_a_row_without_an_image_is_named(tmp_path):
    table = pa.table({"image": [encoded(0), None, b"no image"], "label": [0, 1, 1]})
    pq.write_table(table, tmp_path / "x.parquet")
    images = load_samples("parquet", "train", {"train": "x.parquet", "test": "x.parquet"}, tmp_path).images
    with pytest.raises(ValueError, match=r"row 1: column image holds no encoded image"):
        images[1]
    with pytest.raises(ValueError, match=r"x\.parquet, row group 0, row 2: not a readable image"):
        images[2]


# --- Hugging Face -----------------------------------------------------------------------------------------------------


def test_splits_of_the_hub_are_joined_by_the_names_of_their_classes(tmp_path):
    datasets = pytest.importorskip("datasets")
    splits = {}
    for split, names in (("train", ["cat", "dog"]), ("test", ["dog", "cat"])):
        features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=names))
        cells = [{"bytes": encoded(k), "path": None} for k in range(3)]
        splits[split] = datasets.Dataset.from_dict({"image": cells, "label": [0, 1, 1]}, features)
    datasets.DatasetDict(splits).save_to_disk(str(folder_of(origin({"kind": "huggingface", "name": "pets"}), tmp_path)))
    train, test = (load_samples("huggingface", split, {"name": "pets"}, tmp_path, tmp_path) for split in splits)
    assert train.classes == test.classes == ["cat", "dog"]
    assert train.labels.tolist() == [0, 1, 1] and test.labels.tolist() == [1, 0, 0]


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    for task in (
        lambda: load_samples("huggingface", "train", {"name": "a/b"}, tmp_path),
        lambda: download({"kind": "huggingface", "name": "a/b"}, tmp_path / "x"),
    ):
        with pytest.raises(ValueError, match=r"pip install 'prunetransfer\[huggingface\]'"):
            task()


def test_a_dataset_of_the_hub_is_read_without_network(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(img=datasets.Image(), fine=datasets.ClassLabel(names=["cat", "dog"]))
    cells = [{"bytes": encoded(k), "path": f"{k}.png"} for k in range(6)]
    splits = datasets.DatasetDict(
        {
            name: datasets.Dataset.from_dict({"img": cells[part], "fine": [1, 0, 1][: len(cells[part])]}, features)
            for name, part in (("train", slice(3)), ("validation", slice(3, 6)))
        }
    )
    monkeypatch.setattr(datasets, "load_dataset", lambda name, subset, revision: splits)
    entry = {"name": "owner/pets", "image": "img", "label": "fine", "test": "validation"}
    files = origin({"kind": "huggingface", **entry})
    download(files, folder_of(files, tmp_path))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: pytest.fail("the network was used"))
    train, test = (load_samples("huggingface", split, entry, tmp_path, tmp_path) for split in ("train", "test"))
    assert (levels(train), levels(test)) == ([0, 1, 2], [3, 4, 5])
    assert train.labels.tolist() == [1, 0, 1] and train.classes == ["cat", "dog"]
    assert train.images[2].filename == "owner/pets, row 2 (2.png)"
    for wrong, complaint in (
        ({"test": "test"}, "owner/pets: no split 'test'; it has train, validation"),
        ({"image": "image"}, "owner/pets: no column 'image'; it has img, fine"),
        ({"label": "img"}, "owner/pets: column 'img' holds .*not the labels of named classes"),
    ):
        with pytest.raises(ValueError, match=complaint):
            load_samples("huggingface", "test", entry | wrong, tmp_path, tmp_path)
