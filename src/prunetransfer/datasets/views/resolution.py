"""Fewer pixels, before images are prepared."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Annotated

from PIL import Image
from pydantic import Field

from prunetransfer.datasets.samples import Samples
from prunetransfer.settings.registry import view_step
from prunetransfer.settings.types import PerSplit


@view_step(place=70, pixels=True)
def resolution(
    samples: Samples,
    pixels: Annotated[
        PerSplit,
        Field(
            None,
            description="The most pixels that the short side of an image keeps before it is prepared at the backbone's "
            "size, in both splits or in each as `{train, test}`.",
        ),
    ],
    seed: int,
) -> Samples:
    """Images whose short side is first reduced to at most `pixels`; smaller ones stay as they are."""
    return dataclasses.replace(samples, before=(*samples.before, partial(reduced, pixels=pixels)))


def reduced(image: Image.Image, pixels: int) -> Image.Image:
    """An RGB image with a short side of at most `pixels`, its proportions kept, by Pillow's bicubic filter, which
    averages where it reduces."""
    short = min(image.size)
    if short <= pixels:
        return image
    width, height = (max(round(side * pixels / short), 1) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)
