"""What an image of any family may lose: its colours, its detail."""

from __future__ import annotations

import numpy as np
from PIL import Image

from prunetransfer.datasets.procedural.drawing import log_uniform
from prunetransfer.datasets.procedural.families import Rng

SHARE = 0.5  # of images that lose their colours, and, independently, of those that lose their detail
SIDES = (1 / 16, 1 / 2)  # to which an image is shrunk, and enlarged again, to lose its detail


def varied(rng: Rng, image: np.ndarray) -> np.ndarray:
    """The image, grey or coloured, coarse or sharp: uint8 [size, size, 3], as it is given.

    Where all images are saturated and sharp, weights are pruned that grey or coarse ones need (docs/recoveries.md).
    """
    grey, coarse = rng.uniform(size=2) < SHARE
    picture = Image.fromarray(image)
    if grey:
        picture = picture.convert("L").convert("RGB")
    if coarse:
        side = max(1, round(len(image) * log_uniform(rng, *SIDES)))
        picture = picture.resize((side, side), Image.Resampling.BOX).resize(picture.size, Image.Resampling.BICUBIC)
    return np.asarray(picture)
