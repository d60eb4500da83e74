"""Images decoded once, to uint8 RGB squares of one size, and the split file that holds them."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from prunetransfer.datasets.drawing import Chosen
from prunetransfer.datasets.files import printable
from prunetransfer.datasets.samples import Samples
from prunetransfer.runtime.progress import progress
from prunetransfer.storage.artifacts import write_stream

CHUNK_BYTES = 32 * 2**20
BATCH = 1000
LISTED = 1000  # names of what was passed over, in a file's metadata
# An image that would be enlarged to more than this is cropped first, at the cost of some levels: Pillow chooses which
# side it resizes first, and rounds edges that lie between pixels.
MOST_PIXELS = 2**25
BITS_PER_SAMPLE = 258  # a tag of TIFF


@dataclass(frozen=True)
class Preparation:
    """How a backbone wants its images: squares of `size` pixels, as timm and torchvision make them for evaluation.

    An image is resized by `interpolation` (nearest, bilinear, bicubic or lanczos); its centre is kept; 0 < crop ≤ 1.
    crop_mode: what becomes size / crop pixels (rounded down): of `center` the short side, of `squash` both sides, of
    `border` the long side, and the square is filled up with the colour `border` (RRGGBB, hexadecimal).
    """

    size: int
    interpolation: str = "bicubic"
    crop: float = 1.0
    crop_mode: str = "center"
    border: str = "000000"

    def __call__(self, image: Image.Image) -> np.ndarray:
        """An image of any mode and size as uint8 [size, size, 3].

        Orientation tags are obeyed, transparency is laid over white, grey of 16 bits is scaled to 8. Raises ValueError
        for pixels that have no agreed range.
        """
        image = to_rgb(image)
        method, sides = Image.Resampling[self.interpolation.upper()], self._resized(image.size)
        corner = [round((side - self.size) / 2) if side > self.size else -((self.size - side) // 2) for side in sides]
        if math.prod(sides) > max(MOST_PIXELS, math.prod(image.size)):
            for axis in (0, 1):
                first, last = max(corner[axis], 0), min(corner[axis] + self.size, sides[axis])
                box, new = [0, 0, *image.size], list(image.size)
                box[axis::2] = (edge * image.size[axis] / sides[axis] for edge in (first, last))
                new[axis] = last - first
                image = image.resize(new, method, box)
            corner = [min(start, 0) for start in corner]
        else:
            image = image.resize(sides, method)
        square = Image.new("RGB", (self.size, self.size), f"#{self.border}")
        square.paste(image, (-corner[0], -corner[1]))
        return np.asarray(square)

    def _resized(self, sides: tuple[int, int]) -> tuple[int, ...]:
        """The sides, width and height, that an image of these sides is resized to."""
        side = math.floor(self.size / self.crop)
        if self.crop_mode == "squash":
            return side, side
        if self.crop_mode == "border":
            ratio = max(sides) / side
            return tuple(max(round(old / ratio), 1) for old in sides)
        return tuple(side * old // min(sides) for old in sides)


def readable(samples: Samples, preparation: Preparation, threads: int = 1) -> tuple[Samples, list[str]]:
    """The samples without those that cannot be prepared, and what was wrong with each of these.

    Reads every image once. Raises ValueError if a class is left without an image.
    """
    complaints: dict[int, str] = {}

    def look(index: int) -> None:
        try:
            _prepared(samples, index, preparation)
        except ValueError as error:
            complaints[index] = str(error)

    count = len(samples.images)
    for indices in progress(_batches(count, BATCH), count, "looking for unreadable images"):
        _in_threads(look, indices, threads)
    kept = np.array([k for k in range(count) if k not in complaints], dtype=np.int64)
    labels = samples.labels[kept]
    empty = np.setdiff1d(samples.labels, labels)
    if len(empty):
        raise ValueError(f"no readable image of class {', '.join(samples.classes[label] for label in empty)}")
    kept_samples = replace(samples, images=Chosen(samples.images, kept), labels=labels)
    return kept_samples, [complaints[k] for k in sorted(complaints)]


def write_split(
    path: str | os.PathLike,
    samples: Samples,
    preparation: Preparation,
    settings: Mapping[str, Any],
    skipped: Sequence[str] = (),
    threads: int = 1,
) -> np.ndarray:
    """Prepare `samples` into one file: images and labels; in the metadata the classes, how they were prepared, what was
    skipped or passed over, provenance.

    Holds CHUNK_BYTES of prepared images, and one image in its own size for each thread. Returns a digest of each
    prepared image, uint64 [n], as it is before a view changes how it looks: what a view does must not hide that a test
    image is a train image. Raises ValueError, naming the image, for one that cannot be decoded or converted.
    """
    count, size = len(samples.images), preparation.size
    length = max(CHUNK_BYTES // (3 * size**2), 1)
    chunk = np.empty((min(length, count), size, size, 3), dtype=np.uint8)
    digests = np.empty(count, dtype=np.uint64)

    def prepare(index: int) -> None:
        plain, chunk[index % length] = _prepared(samples, index, preparation)
        digests[index] = int.from_bytes(hashlib.blake2b(plain, digest_size=8).digest())

    def chunks() -> Iterator[np.ndarray]:
        for indices in _batches(count, length):
            _in_threads(prepare, indices, threads)
            yield chunk[: len(indices)]

    labels = np.asarray(samples.labels, dtype=np.int64)
    over = {why: {"count": len(names), "first": names[:LISTED]} for why, names in samples.passed_over.items()}
    how = {"preparation": asdict(preparation), "skipped": list(skipped), "passed_over": over}
    classes = {"classes": samples.classes, "classes_before": list(samples.classes_before)}
    metadata = {**classes, **how, "settings": dict(settings)}
    pixels = progress(chunks(), count, os.path.basename(path))
    write_stream(path, {"labels": labels}, "images", (count, size, size, 3), pixels, metadata)
    return digests


def refuse_overlap(samples: Mapping[str, Samples], digests: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError if a test image, once prepared, is also a train image: how many, and the first pair.

    samples, digests: of the splits train and test; digests as `write_split` returns them.
    """
    shared = np.flatnonzero(np.isin(digests["test"], digests["train"]))
    if len(shared):
        first = {"test": shared[0], "train": np.flatnonzero(digests["train"] == digests["test"][shared[0]])[0]}
        test, train = (_name(samples[split].images[index], index) for split, index in first.items())
        raise ValueError(
            f"{len(shared)} of {len(digests['test'])} test images are train images too: the first is {test}, "
            f"in train {train}; `allow_overlap: true` takes the dataset as it is"
        )


def _batches(count: int, length: int) -> Iterator[range]:
    return (range(start, min(start + length, count)) for start in range(0, count, length))


def _in_threads(work: Callable[[int], None], indices: range, threads: int) -> None:
    """Each thread takes every so-many-th index. Pillow decodes and resizes without holding the interpreter's lock."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda first: [work(index) for index in indices[first::threads]], range(threads)))


def _prepared(samples: Samples, index: int, preparation: Preparation) -> tuple[np.ndarray, np.ndarray]:
    """A prepared image, and how it looks through the views of its dataset."""
    name = f"image {index}"
    try:
        image = samples.images[index]
        name = _name(image, index)
        plain = seen = preparation(image)
        if samples.before:
            seen = preparation(reduce(lambda image, change: change(image), samples.before, to_rgb(image)))
        return plain, reduce(lambda pixels, change: change(pixels), samples.after, seen)
    except Exception as error:  # a damaged file makes a decoder raise almost anything
        raise ValueError(f"{name}: {error}") from error


def _name(image: Image.Image, index: int) -> str:
    return printable(getattr(image, "filename", "")) or f"image {index}"


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB, upright and over white. Raises ValueError as a Preparation does."""
    white = _white(image)
    image = ImageOps.exif_transpose(image)
    if white:
        scaled = np.rint(np.arange(2**16) * (255 / white)).clip(max=255).astype(np.uint8)
        image = Image.fromarray(scaled[np.asarray(image)])
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _white(image: Image.Image) -> int | None:
    """The level of white where grey has more than 8 bits. Raises ValueError where the file's format does not say it."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed range; save the image with 8 or 16 bits a channel")
    # What Pillow opens as 32 bits with a sign has them, but for PNM, whose levels it scales to 16 bits.
    if image.mode == "I" and image.format != "PPM":
        low, high = image.getextrema()
        raise ValueError(
            f"grey levels {low} to {high}: integers of 32 bits or with a sign have no agreed range; save the image "
            "with 8 or 16 bits a channel, unsigned"
        )
    if not image.mode.startswith("I"):
        return None
    bits = image.tag_v2.get(BITS_PER_SAMPLE, (16,))[0] if image.format == "TIFF" else 16
    return 2**bits - 1
