"""Upper-case letters in the TrueType fonts that Matplotlib ships, with jitter; train and test share no font family."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from prunetransfer.datasets.samples import Samples
from prunetransfer.datasets.seen import SPLITS
from prunetransfer.settings.registry import dataset_kind
from prunetransfer.settings.types import Draw, TestPerClass, TrainPerClass

FONTS = {
    "train": (  # DejaVu Sans, Sans Mono and Serif; STIX, which is a Times
        "DejaVuSans.ttf",
        "DejaVuSans-Bold.ttf",
        "DejaVuSans-Oblique.ttf",
        "DejaVuSans-BoldOblique.ttf",
        "DejaVuSansMono.ttf",
        "DejaVuSansMono-Bold.ttf",
        "DejaVuSansMono-Oblique.ttf",
        "DejaVuSansMono-BoldOblique.ttf",
        "DejaVuSerif.ttf",
        "DejaVuSerif-Bold.ttf",
        "DejaVuSerif-Italic.ttf",
        "DejaVuSerif-BoldItalic.ttf",
        "STIXGeneral.ttf",
        "STIXGeneralBol.ttf",
        "STIXGeneralItalic.ttf",
        "STIXGeneralBolIta.ttf",
    ),
    "test": (  # Computer Modern: roman, bold, sans serif, italic, typewriter
        "cmr10.ttf",
        "cmb10.ttf",
        "cmss10.ttf",
        "cmti10.ttf",
        "cmtt10.ttf",
    ),
}
LETTERS = string.ascii_uppercase
SIDE = 64
EXTENT = (50.0, 57.0)  # longer side of the letter, pixels
TILT = 5.0  # degrees either way
SHIFT = 2.0  # pixels either way
CONTRAST = (150.0, 255.0)  # grey levels between ink and paper
BLUR = 0.8  # largest radius, pixels
NOISE = 8.0  # standard deviation, grey levels


@dataset_kind()
def glyphs(
    split: str, *, seed: Draw = 0, train_per_class: TrainPerClass = 48, test_per_class: TestPerClass = 20
) -> Samples:
    """Letters drawn with the fonts that Matplotlib ships; the fonts of the test images are unseen in training.

    Grey 64 × 64 images of the 26 letters, the fonts of a split in turn.
    Size, tilt, position, blur, noise and the grey levels of the paper and the darker ink are drawn anew for each image.
    Raises ValueError if Matplotlib lacks one of the fonts.
    """
    count = {"train": train_per_class, "test": test_per_class}[split]
    fonts = [_font(name) for name in FONTS[split]]
    images = [
        _draw(letter, fonts[k % len(fonts)], np.random.default_rng([seed, SPLITS.index(split), label, k]))
        for label, letter in enumerate(LETTERS)
        for k in range(count)
    ]
    return Samples(images, np.repeat(np.arange(len(LETTERS), dtype=np.int64), count), list(LETTERS))


def _font(name: str) -> Path:
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    if not path.is_file():
        raise ValueError(f"{path}: Matplotlib {matplotlib.__version__} lacks a font that the glyphs are drawn with")
    return path


def _draw(letter: str, font: Path, rng: np.random.Generator) -> Image.Image:
    left, top, right, bottom = _face(font, SIDE).getbbox(letter)
    face = _face(font, SIDE * rng.uniform(*EXTENT) / max(right - left, bottom - top))
    left, top, right, bottom = face.getbbox(letter)
    ink = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(ink).text(((SIDE - left - right) / 2, (SIDE - top - bottom) / 2), letter, fill=255, font=face)
    shift = tuple(rng.uniform(-SHIFT, SHIFT, size=2))
    ink = ink.rotate(rng.uniform(-TILT, TILT), Image.Resampling.BICUBIC, translate=shift)
    ink = ink.filter(ImageFilter.GaussianBlur(rng.uniform(0, BLUR)))
    contrast = rng.uniform(*CONTRAST)
    paper = rng.uniform(contrast, 255)
    grey = paper - contrast * np.asarray(ink) / 255 + rng.normal(0, NOISE, ink.size)
    return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))


def _face(font: Path, points: float) -> ImageFont.FreeTypeFont:
    # The basic layout, because the other one depends on a library that not every Pillow has.
    return ImageFont.truetype(str(font), points, layout_engine=ImageFont.Layout.BASIC)
