"""Images decoded once, to uint8 RGB squares of one size, and the split file that holds them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from prunetransfer.artifacts import provenance, write_tensors
from prunetransfer.datasets.samples import Samples

SIXTEEN_BITS = 65535


def prepare(samples: Samples, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Decode every image once: uint8 [n, size, size, 3] and the labels, int64 [n].

    The short side is resized to `size` pixels (bicubic) and the centre cropped. Orientation tags are obeyed,
    transparency is laid over white, 16-bit grey is scaled to 8 bits. Raises ValueError, naming the image, for one that
    cannot be decoded or converted.
    """
    images = np.empty((len(samples.images), size, size, 3), dtype=np.uint8)
    for k, image in enumerate(samples.images):
        try:
            images[k] = _square(_to_rgb(ImageOps.exif_transpose(image)), size)
        except ValueError as error:
            raise ValueError(f"{getattr(image, 'filename', f'image {k}')}: {error}") from None
    return images, np.asarray(samples.labels, dtype=np.int64)


def write_split(path: str | os.PathLike, samples: Samples, size: int, settings: Mapping[str, Any]) -> None:
    """Prepare `samples` and write them as one file: tensors images and labels, metadata classes and provenance."""
    images, labels = prepare(samples, size)
    metadata = {"classes": samples.classes, **provenance(settings)}
    write_tensors(path, {"images": images, "labels": labels}, metadata)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed range; save the image with 8 or 16 bits a channel")
    if image.mode.startswith("I"):
        image = _to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    levels = np.asarray(image)
    if levels.min() < 0 or levels.max() > SIXTEEN_BITS:
        raise ValueError(f"grey levels {levels.min()} to {levels.max()}; 16 bits allow 0 to {SIXTEEN_BITS}")
    return Image.fromarray(np.rint(levels * (255 / SIXTEEN_BITS)).astype(np.uint8))


def _square(image: Image.Image, size: int) -> Image.Image:
    return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
