"""Corrupted images, as in ImageNet-C."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import threading
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import Field

from prunetransfer.datasets.samples import Samples
from prunetransfer.settings.registry import view_step
from prunetransfer.settings.types import Section, Several, says

Corruption = Literal[
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow",
    "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
    "speckle_noise", "gaussian_blur", "spatter", "saturate",
]  # fmt: skip
SMALLEST = 32  # pixels a side that the library takes
SEEDED = ("impulse_noise", "glass_blur")  # these draw from a generator of their own
# The library draws from NumPy's global generator: one image at a time, whatever the threads.
GLOBAL_GENERATOR = threading.Lock()


class Corrupt(Section):
    """Which corruption, and of what."""

    kind: Annotated[Corruption, Field(description="One of the 15 corruptions of ImageNet-C, or of its 4 extra ones.")]
    severity: Annotated[int, Field(ge=0, le=5, description="How strong it is; 0 changes nothing.")] = 3
    splits: Annotated[
        Several[Literal["train", "test"]], Field(description="The splits whose images are corrupted.")
    ] = ("test",)


@view_step(place=80, pixels=True, unchanged={"severity": 0})
def corrupt(
    samples: Samples,
    corruption: Annotated[
        Corrupt,
        Field(
            None, description="Images that are corrupted once they are prepared; needs `prunetransfer[corruptions]`."
        ),
        says(allowed="a corruption, as {kind: gaussian_noise, severity: 3}"),
    ],
    seed: int,
) -> Samples:
    """Corruptions of ImageNet-C (Hendrycks & Dietterich 2019, Benchmarking Neural Network Robustness, ICLR).

    What is drawn depends on the seed and on the prepared image alone. Raises ValueError if the library is not there,
    and, when an image is prepared, for one of fewer than SMALLEST pixels a side.
    """
    spoil = partial(corrupted, kind=corruption["kind"], severity=corruption["severity"], seed=seed, by=_library())
    return dataclasses.replace(samples, after=(*samples.after, spoil))


def corrupted(pixels: np.ndarray, kind: str, severity: int, seed: int, by: Callable[..., np.ndarray]) -> np.ndarray:
    """A prepared image, uint8 [size, size, 3], corrupted `by` the library's function."""
    if (size := min(pixels.shape[:2])) < SMALLEST:
        raise ValueError(
            f"corrupt: a prepared image has {size} × {size} pixels; allowed are backbones whose `size` is at least "
            f"{SMALLEST}"
        )
    digest = hashlib.blake2b(pixels, digest_size=4, key=seed.to_bytes(4)).digest()
    drawn = int.from_bytes(digest)
    own = {"seed": drawn} if kind in SEEDED else {}
    with GLOBAL_GENERATOR, contextlib.redirect_stdout(io.StringIO()):  # the library reports what it handles itself
        before = np.random.get_state()
        try:
            np.random.seed(drawn)
            return by(pixels, severity, kind, **own)
        finally:
            np.random.set_state(before)


def _library() -> Callable[..., np.ndarray]:
    try:
        import imagecorruptions
    except ImportError as error:
        raise ValueError(
            f"corrupt: the package imagecorruptions cannot be used ({error}); pip install 'prunetransfer[corruptions]'"
        ) from None
    unknown = set(get_args(Corruption)) - set(imagecorruptions.get_corruption_names("all"))
    if unknown:
        raise ValueError(f"corrupt: this imagecorruptions lacks {', '.join(sorted(unknown))}")
    return imagecorruptions.corrupt
