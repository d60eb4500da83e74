from __future__ import annotations

import io
import os
import runpy
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, features
from safetensors.numpy import save_file
from snakemake.iocontainers import Params, Wildcards
from timm.data import create_transform

from prunetransfer.datasets import prepared
from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.prepared import Preparation, readable, refuse_overlap, write_split
from prunetransfer.datasets.samples import Samples
from prunetransfer.datasets.splits import Split, read_split
from prunetransfer.storage.artifacts import ArtifactError, read_metadata, read_tensors, write_stream, write_tensors

FEW = {"train_per_class": 3, "test_per_class": 2}
WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (200, 0, 0)


def noise(seed: int, shape: tuple[int, ...] = (24, 32, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def noisy(*seeds: int) -> Samples:
    """One image of noise a seed, of two classes in turn."""
    return Samples([Image.fromarray(noise(seed)) for seed in seeds], np.arange(len(seeds)) % 2, ["a", "b"])


def textures() -> Samples:
    return load_samples("textures", "test", FEW, ".")


def folder(root: Path) -> Samples:
    """Five images of noise in two classes, and `train/b/1.jpg` cut short."""
    for split, name, count in (("train", "a", 2), ("train", "b", 3), ("test", "a", 1), ("test", "b", 1)):
        place = root / split / name
        place.mkdir(parents=True)
        for k in range(count):
            Image.fromarray(noise(k)).save(place / f"{k}.jpg")
    damaged = root / "train/b/1.jpg"
    damaged.write_bytes(damaged.read_bytes()[:-500])
    return load_samples("folder", "train", {"path": "."}, root)


# Modes, each from a file of its own


def palette(*, transparent: bool) -> tuple[Image.Image, dict]:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([10, 20, 30, *RED])
    image.putpixel((0, 0), 0)
    return image, {"transparency": 0} if transparent else {}


def grey(levels: list[list[int]], dtype: type) -> tuple[Image.Image, dict]:
    return Image.fromarray(np.array(levels, dtype=dtype)), {}


def plain(mode: str, colour, **options) -> tuple[Image.Image, dict]:
    return Image.new(mode, (2, 2), colour), options


def animation() -> tuple[Image.Image, dict]:
    return Image.new("RGB", (2, 2), RED), {"save_all": True, "append_images": [Image.new("RGB", (2, 2), "blue")]}


DEEP = [[65535, 257], [0, 2570]]


@pytest.mark.parametrize(
    ("written", "suffix", "mode", "first", "last"),
    [
        (grey([[False, True], [True, True]], bool), "png", "1", BLACK, WHITE),
        (grey([[7, 200], [200, 200]], np.uint8), "png", "L", (7,) * 3, (200,) * 3),
        (grey(DEEP, np.uint16), "png", "I;16", WHITE, (10,) * 3),
        (grey(DEEP, np.uint16), "tif", "I;16", WHITE, (10,) * 3),
        (grey(DEEP, np.dtype(">u2")), "tif", "I;16B", WHITE, (10,) * 3),
        (grey(DEEP, np.uint16), "pgm", "I", WHITE, (10,) * 3),
        (palette(transparent=False), "png", "P", (10, 20, 30), RED),
        (palette(transparent=True), "png", "P", WHITE, RED),
        (palette(transparent=True), "gif", "P", WHITE, RED),
        (animation(), "gif", "P", RED, RED),
        (plain("RGB", (1, 2, 3)), "png", "RGB", (1, 2, 3), (1, 2, 3)),
        (plain("RGB", (9, 9, 9), transparency=(9, 9, 9)), "png", "RGB", WHITE, WHITE),
        (plain("RGBA", (*RED, 0)), "png", "RGBA", WHITE, WHITE),
        (plain("RGBA", (*RED, 51)), "png", "RGBA", (244, 204, 204), (244, 204, 204)),
        (plain("LA", (0, 0)), "png", "LA", WHITE, WHITE),
        (plain("CMYK", (0, 255, 255, 0)), "tif", "CMYK", (255, 0, 0), (255, 0, 0)),
        (plain("CMYK", (0, 255, 255, 0), quality=100), "jpg", "CMYK", (255, 0, 0), (255, 0, 0)),
    ],
    ids=[
        *(
            "1-bit",
            "grey",
            "16-bit png",
            "16-bit tif",
            "16-bit big-endian",
            "16-bit pgm",
            "palette",
            "palette transparent",
        ),
        *("gif transparent", "gif animated", "colour", "colour transparent", "alpha 0", "alpha 0.2", "grey alpha"),
        *("inks tif", "inks jpg"),
    ],
)
def test_every_mode_becomes_rgb(written, suffix, mode, first, last, tmp_path):
    path = tmp_path / f"image.{suffix}"
    image, options = written
    image.save(path, **options)
    with Image.open(path) as image:
        assert image.mode == mode
        pixels = Preparation(2)(image)
    assert pixels.dtype == np.uint8 and pixels.shape == (2, 2, 3)
    tolerance = 2 if suffix == "jpg" else 0
    assert np.abs(pixels[[0, 1], [0, 1]] - np.array([first, last], dtype=int)).max() <= tolerance


def test_the_inverted_inks_of_an_adobe_jpeg_are_known(tmp_path):
    path = tmp_path / "inks.jpg"
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(path, quality=100)
    with Image.open(path) as image:
        assert image.info["adobe"] == 100
        assert np.abs(Preparation(8)(image) - np.array([255, 0, 0])).max() <= 2


def png_of_16_bit_colour() -> bytes:
    """A 2 × 1 PNG, written out: 16 bits a channel, which Pillow cannot write."""

    def part(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    row = b"\0" + struct.pack(">6H", 65535, 0, 257 * 7, 257 * 100, 257 * 50, 65535)
    head = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(row)) + part(b"IEND", b"")


def test_colour_of_16_bits_keeps_the_upper_8():
    pixels = np.asarray(prepared.to_rgb(Image.open(io.BytesIO(png_of_16_bit_colour()))))
    assert pixels.tolist() == [[[255, 0, 7], [100, 50, 255]]]


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_orientation_tag_is_obeyed(tag, suffix, tmp_path):
    if suffix == "webp" and not features.check("webp"):
        pytest.skip("this Pillow reads no WebP")
    upright = noise(0, (8, 8, 3))
    # How each tag's camera stored the upright scene: the inverse of what a viewer does.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = tag
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(np.ascontiguousarray(stored[tag])).save(
        path, exif=exif, **({"lossless": True} if suffix == "webp" else {})
    )
    with Image.open(path) as image:
        assert (Preparation(8)(image) == upright).all()


def test_pixels_without_a_known_range_are_refused_by_name(tmp_path):
    for name, array, complaint in (
        ("float.tif", np.zeros((2, 2), dtype=np.float32), "floating-point pixels"),
        ("deep.tif", np.full((2, 2), 70000, dtype=np.int32), "grey levels 70000 to 70000: integers of 32 bits or"),
        ("bytes.tif", np.full((2, 2), 255, dtype=np.int32), "grey levels 255 to 255: .* no agreed range"),
        ("negative.tif", np.full((2, 2), -1, dtype=np.int32), "grey levels -1 to -1: "),
    ):
        Image.fromarray(array).save(tmp_path / name)
        samples = Samples([Image.open(tmp_path / name)] * 2, np.array([0, 1]), ["a", "b"])
        with pytest.raises(ValueError, match=f"{name}: {complaint}"):
            write_split(tmp_path / "split.safetensors", samples, Preparation(2), {})
    assert not (tmp_path / "split.safetensors").exists()


def tiff_of_12_bits(levels: list[int]) -> bytes:
    """A TIFF of one row, written out: 12 bits a level, which Pillow cannot write."""
    packed = "".join(f"{level:012b}" for level in levels)
    data = int(packed, 2).to_bytes(len(packed) // 8, "big")
    tags = {256: len(levels), 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    start = 8 + len(data) + len(data) % 2
    return (
        struct.pack("<2sHI", b"II", 42, start) + data.ljust(start - 8, b"\0") + struct.pack("<H", len(tags)) + entries
    ) + bytes(4)


def test_white_of_12_bits_is_white():
    image = Image.open(io.BytesIO(tiff_of_12_bits([4095, 0, 2056, 257])))
    assert image.mode == "I;16"
    assert np.asarray(prepared.to_rgb(image))[0, :, 0].tolist() == [255, 0, 128, 16]


# Size


@pytest.mark.parametrize("shape", [(48, 64), (101, 53), (40, 40), (33, 200)])
@pytest.mark.parametrize("crop", [1.0, 0.9, 0.875])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_squares_are_those_of_timm(shape, crop, interpolation, mode):
    image = Image.fromarray(noise(0, (*shape, 3)))
    how = {"interpolation": interpolation, "crop_pct": crop, "crop_mode": mode, "mean": (0.485, 0.456, 0.406)}
    for size in (32, 57):
        expected = create_transform(size, **how, normalize=False)(image).permute(1, 2, 0).numpy()
        assert (Preparation(size, interpolation, crop, mode, "7c7468")(image) == expected).all()


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (2, 90)])
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_an_image_of_any_shape_is_enlarged_within_bounds(shape, mode, monkeypatch):
    areas = []
    resize = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda *a: areas.append(a[1][0] * a[1][1]) or resize(*a))
    image = Image.fromarray(noise(0, (*shape, 3)))
    assert Preparation(224, "bicubic", 0.9, mode)(image).shape == (224, 224, 3)
    assert max(areas) <= prepared.MOST_PIXELS


@pytest.mark.parametrize("shape", [(3, 300), (300, 3)])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_cropping_first_gives_the_same_square(shape, interpolation, monkeypatch):
    image, preparation = Image.fromarray(noise(0, (*shape, 3))), Preparation(32, interpolation, 0.875)
    whole = preparation(image).astype(int)
    monkeypatch.setattr(prepared, "MOST_PIXELS", 0)
    assert np.abs(preparation(image) - whole).max() <= 1


def test_centre_of_the_long_side_is_kept():
    wide = np.zeros((20, 60), dtype=np.uint8)
    wide[:, 20:40] = 255
    for pixels in (Preparation(10)(Image.fromarray(image)) for image in (wide, wide.T.copy())):
        assert (pixels[2:-2, 2:-2] == 255).all() and pixels.min() > 100


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


# Real images


@pytest.mark.parametrize(
    ("name", "mode", "counts", "classes"), [("rsscn7", "RGB", (770, 280), 7), ("omniglot", "1", (1904, 816), 136)]
)
def test_real_images_are_prepared(name, mode, counts, classes, shared_data):
    train, test = (load_samples("folder", split, {"path": name}, shared_data) for split in ("train", "test"))
    assert (len(train.images), len(test.images)) == counts
    assert len(train.classes) == classes
    assert test.images[0].mode == mode
    images = np.stack([Preparation(64)(test.images[k]) for k in range(40)])
    assert images.std(axis=(1, 2, 3)).min() > 5
    assert (np.ptp(images, axis=3).max() == 0) == (mode == "1")


# The stage


def prepare_images(repository: Path, root: Path, crop: str = "0.875", **settings) -> dict[str, Path]:
    """Run the stage's script on the images of `root`; returns its outputs."""
    outputs = {split: root / "out" / f"{split}.safetensors" for split in ("train", "test")}
    snakemake = SimpleNamespace(
        rule="prepare_images",
        log=[str(root / "out/log")],
        threads=2,
        wildcards=Wildcards(fromdict={"size": "8", "interpolation": "bilinear", "crop": crop}),
        params=Params(fromdict={"dataset": {"kind": "folder", "path": ".", **settings}, "data_root": root}),
        output=outputs,
    )
    runpy.run_path(str(repository / "workflow/scripts/prepare_images.py"), {"snakemake": snakemake})
    return outputs


def test_the_stage_stops_at_an_unreadable_image(repository, tmp_path, capfd):
    folder(tmp_path)
    with pytest.raises(SystemExit):
        prepare_images(repository, tmp_path, allow_overlap=True)
    assert "prepare_images: image 3: " in (told := capfd.readouterr().err) and "train/b/1.jpg: not a readable" in told
    assert not list((tmp_path / "out").glob("*safetensors*"))


def test_the_stage_skips_what_is_unreadable_where_it_may(repository, tmp_path):
    folder(tmp_path)
    outputs = prepare_images(repository, tmp_path, skip_unreadable=True, allow_overlap=True)
    assert read_split(outputs["train"]).labels.tolist() == [0, 0, 1, 1]
    log = (tmp_path / "out/log").read_text()
    assert "train: skipped image 3: " in log and "train: 4 images, 1 skipped" in log and "test: 2 images, 0" in log
    image = Image.open(tmp_path / "train/a/1.jpg")
    assert (read_split(outputs["train"]).images[1].numpy() == Preparation(8, "bilinear", 0.875)(image)).all()


def test_the_stage_names_what_was_passed_over(repository, tmp_path):
    folder(tmp_path)
    (tmp_path / "train/b/1.jpg").rename(tmp_path / "train/b/1.xcf")
    (tmp_path / "train/b" / os.fsdecode(b"M\xfcnchen.png")).write_bytes(b"no image")
    outputs = prepare_images(repository, tmp_path, skip_unreadable=True, allow_overlap=True)
    log = (tmp_path / "out/log").read_text()
    assert r"M\xfcnchen.png: not a readable image" in log
    assert "train: 4 images, 1 skipped" in log and "passed over 1 without an image's extension: train/b/1.xcf" in log
    metadata = read_metadata(outputs["train"])
    assert metadata["passed_over"]["without an image's extension"] == {"count": 1, "first": ["train/b/1.xcf"]}
    assert len(metadata["skipped"]) == 1 and r"M\xfcnchen.png" in metadata["skipped"][0]


@pytest.mark.parametrize(
    ("crop_mode", "preparation"), [("squash", ["squash"]), ("border-7c7468", ["border", "7c7468"])]
)
def test_the_stage_obeys_the_crop_mode(repository, tmp_path, crop_mode, preparation):
    folder(tmp_path)
    outputs = prepare_images(repository, tmp_path, crop=f"0.875-{crop_mode}", skip_unreadable=True, allow_overlap=True)
    image = Image.open(tmp_path / "train/a/1.jpg")
    assert (
        read_split(outputs["train"]).images[1].numpy() == Preparation(8, "bilinear", 0.875, *preparation)(image)
    ).all()


def test_the_stage_refuses_test_images_that_are_train_images(repository, tmp_path, capfd):
    folder(tmp_path)
    with pytest.raises(SystemExit):
        prepare_images(repository, tmp_path, skip_unreadable=True)
    assert "prepare_images: 2 of 2 test images are train images too: the first is " in capfd.readouterr().err
