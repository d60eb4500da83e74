"""Images of every mode, depth and orientation become RGB of 8 bits, or are refused by name."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features
from unit.pictures import noise

from prunetransfer.datasets import prepared
from prunetransfer.datasets.prepared import Preparation, write_split
from prunetransfer.datasets.samples import Samples

WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (200, 0, 0)


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
