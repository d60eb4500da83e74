"""Prepared splits: what cannot be read, images that train and test share, and the files that are written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from unit.pictures import FEW, folder, noise, noisy

from prunetransfer.datasets import prepared
from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.prepared import Preparation, readable, refuse_overlap, write_split
from prunetransfer.datasets.samples import Samples
from prunetransfer.datasets.splits import Split, read_split
from prunetransfer.storage.artifacts import ArtifactError, read_metadata, read_tensors, write_stream, write_tensors


def textures() -> Samples:
    return load_samples("textures", "test", FEW, ".")


# What cannot be read


@pytest.mark.parametrize("keep", [0, 30, 1000])
def test_a_damaged_image_is_named(keep, tmp_path):
    folder(tmp_path)
    damaged = tmp_path / "train/b/0.png"
    Image.fromarray(noise(0)).save(damaged)
    damaged.write_bytes(damaged.read_bytes()[:keep])
    (tmp_path / "train/b/1.jpg").unlink()
    samples = load_samples("folder", "train", {"path": "."}, tmp_path)
    with pytest.raises(ValueError, match=r"image 3: .*train/b/0\.png: not a readable image"):
        write_split(tmp_path / "split.safetensors", samples, Preparation(8), {}, threads=2)
    assert not list(tmp_path.glob("*split*"))


def test_a_decompression_bomb_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with pytest.raises(ValueError, match=r"train/a/0\.jpg: .*768 pixels.* exceeds limit of 600 pixels"):
        write_split(tmp_path / "split.safetensors", folder(tmp_path), Preparation(8), {})


@pytest.mark.parametrize("threads", [1, 3])
def test_unreadable_images_are_left_out_and_listed(threads, tmp_path):
    samples = folder(tmp_path)
    kept, skipped = readable(samples, Preparation(8), threads)
    assert kept.labels.tolist() == [0, 0, 1, 1]
    assert len(skipped) == 1 and "train/b/1.jpg: not a readable image" in skipped[0]
    path = tmp_path / "split.safetensors"
    write_split(path, kept, Preparation(8), {}, skipped, threads)
    assert read_metadata(path)["skipped"] == skipped
    names = [Path(image.filename).name for image in kept.images]
    assert names == ["0.jpg", "1.jpg", "0.jpg", "2.jpg"] and len(read_split(path).images) == 4


def test_a_class_without_a_readable_image_is_refused(tmp_path):
    folder(tmp_path)
    for path in (tmp_path / "train/a").iterdir():
        path.write_bytes(b"not an image")
    with pytest.raises(ValueError, match="no readable image of class a"):
        readable(load_samples("folder", "train", {"path": "."}, tmp_path), Preparation(8))


# Train and test images that are the same


def digests(tmp_path: Path, samples: dict[str, Samples]) -> dict[str, np.ndarray]:
    return {
        name: write_split(tmp_path / "prepared" / name, split, Preparation(8), {}) for name, split in samples.items()
    }


def test_shared_images_are_counted_and_the_first_pair_named(tmp_path):
    samples = {"train": noisy(0, 1, 2, 3), "test": noisy(9, 2, 8, 1)}
    with pytest.raises(
        ValueError, match=r"2 of 4 test .*: the first is image 1, in train image 2; `allow_overlap: true`"
    ):
        refuse_overlap(samples, digests(tmp_path, samples))


def test_shared_files_are_named(tmp_path):
    folder(tmp_path)
    (tmp_path / "train/b/1.jpg").unlink()
    samples = {split: load_samples("folder", split, {"path": "."}, tmp_path) for split in ("train", "test")}
    with pytest.raises(ValueError, match=r"2 of 2 .* first is \S*/test/a/0\.jpg, in train \S*/train/a/0\.jpg"):
        refuse_overlap(samples, digests(tmp_path, samples))


def test_repeats_within_a_split_are_no_overlap(tmp_path):
    samples = {"train": noisy(0, 0, 1), "test": noisy(2, 2)}
    refuse_overlap(samples, digests(tmp_path, samples))


# Split files


def test_split_survives_the_disk(tmp_path):
    path = tmp_path / "images" / "textures-16" / "test.safetensors"
    samples = textures()
    write_split(path, samples, Preparation(16), {"kind": "textures"})
    split = read_split(path)
    assert split.images.dtype == torch.uint8 and split.images.shape == (20, 16, 16, 3)
    assert (split.images.numpy() == np.stack([Preparation(16)(image) for image in samples.images])).all()
    assert split.labels.dtype == torch.int64 and split.labels.tolist() == samples.labels.tolist()
    assert split.classes == tuple(samples.classes)
    metadata = read_metadata(path)
    assert metadata["settings"] == {"kind": "textures"} and metadata["skipped"] == []
    how = {"size": 16, "interpolation": "bicubic", "crop": 1.0, "crop_mode": "center", "border": "000000"}
    assert metadata["preparation"] == how


def test_split_is_the_same_file_whatever_the_threads_and_chunks(tmp_path, monkeypatch):
    files = set()
    for k, (threads, chunk) in enumerate([(1, 2**20), (1, 2**20), (3, 2**20), (3, 16 * 16 * 3 * 7), (2, 1)]):
        monkeypatch.setattr(prepared, "CHUNK_BYTES", chunk)
        write_split(tmp_path / f"{k}", textures(), Preparation(16), {}, threads=threads)
        files.add((tmp_path / f"{k}").read_bytes())
    assert len(files) == 1


def test_images_are_decoded_once_and_few_are_held(tmp_path, monkeypatch):
    asked = []

    class Counted(Sequence):
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int) -> Image.Image:
            asked.append(index)
            return Image.fromarray(noise(index))

    held = []

    def write(path, tensors, name, shape, chunks, metadata):
        held.extend((len(chunk), len(asked)) for chunk in chunks)

    monkeypatch.setattr(prepared, "CHUNK_BYTES", 8 * 8 * 3 * 6)
    monkeypatch.setattr(prepared, "write_stream", write)
    write_split(tmp_path / "split", Samples(Counted(), np.arange(20) % 2, ["a", "b"]), Preparation(8), {}, threads=3)
    assert held == [(6, 6), (6, 12), (6, 18), (2, 20)]
    assert sorted(asked) == list(range(20))


def test_a_stream_is_read_as_any_other_file(tmp_path):
    rows, small = noise(0, (10, 3, 5)), {"half": np.ones(3, np.float16), "long": np.arange(4)}
    write_stream(tmp_path / "streamed", small, "rows", rows.shape, np.array_split(rows, 3), {"a": 1})
    write_tensors(tmp_path / "whole", {**small, "rows": rows}, {"a": 1})
    assert read_metadata(tmp_path / "streamed") == read_metadata(tmp_path / "whole")
    streamed, whole = (read_tensors(tmp_path / name) for name in ("streamed", "whole"))
    assert list(streamed) == list(whole) == ["half", "long", "rows"]
    assert all((streamed[name] == array).all() and streamed[name].dtype == array.dtype for name, array in whole.items())


@pytest.mark.parametrize("count", [9, 11])
def test_a_stream_of_another_length_leaves_nothing_behind(count, tmp_path):
    with pytest.raises(ValueError, match=r"rows\.safetensors: the chunks of rows are not 10 × 4 bytes"):
        write_stream(tmp_path / "rows.safetensors", {}, "rows", (10, 4), [np.zeros((count, 4), np.uint8)], {})
    assert not list(tmp_path.iterdir())


def test_an_open_split_holds_no_pixels(tmp_path):
    """What is drawn before the pixels change on disk is what was there; the rest is read when it is used."""
    path = tmp_path / "split"
    write_split(path, noisy(0, 1), Preparation(64), {})
    split = read_split(path)
    with open(path, "r+b") as file:
        file.seek(-64 * 64 * 3, 2)
        file.write(bytes(64 * 64 * 3))
    assert isinstance(split, Split) and split.images[0].any() and not split.images[1].any()


def test_damaged_and_foreign_splits_are_refused_by_name(tmp_path):
    path = tmp_path / "train.safetensors"
    with pytest.raises(ArtifactError, match=r"train\.safetensors: no such file"):
        read_split(path)
    write_split(path, textures(), Preparation(16), {})
    whole = path.read_bytes()
    for damaged in (whole[:-1000], whole + b"\0", whole[:100], b""):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=r"train\.safetensors: damaged"):
            read_split(path)
    save_file({"images": np.zeros(1)}, path)
    with pytest.raises(ArtifactError, match=r"train\.safetensors: .*written by another program"):
        read_split(path)
    write_tensors(path, {"weight": np.zeros(1)}, {})
    with pytest.raises(ArtifactError, match=r"train\.safetensors: not a prepared split \(tensors: weight\)"):
        read_split(path)
