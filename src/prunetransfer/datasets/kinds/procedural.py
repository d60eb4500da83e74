"""Images made from nothing, to prune and recover with where there are no data (docs/datasets.md)."""

from __future__ import annotations

from typing import Annotated, Literal
from zlib import crc32

import numpy as np
from PIL import Image
from pydantic import Field

from prunetransfer.datasets.procedural import FAMILIES
from prunetransfer.datasets.procedural.vary import varied
from prunetransfer.datasets.samples import Samples
from prunetransfer.datasets.seen import SPLITS
from prunetransfer.settings.registry import dataset_kind
from prunetransfer.settings.types import Draw, Several, TestPerClass, TrainPerClass

ALL = tuple(sorted(FAMILIES))
Families = Several[Literal[ALL]]


@dataset_kind(labelled=False)
def procedural(
    split: str,
    *,
    seed: Draw = 0,
    train_per_class: TrainPerClass = 100,
    test_per_class: TestPerClass = 10,
    size: Annotated[int, Field(ge=16, le=1024, description="Side of an image in pixels.")] = 128,
    families: Annotated[Families, Field(description="The families of images, which are its classes.")] = ALL,
) -> Samples:
    """Images made from nothing, of several families; a source without labels.

    RGB size × size images. Each is drawn from a random stream of its own, so a smaller set is a part of a larger one,
    and a family's images do not depend on the others. See Baradad et al. 2021 (Learning to See by Looking at Noise,
    NeurIPS) and Kataoka et al. 2020 (Pre-training without Natural Images, ACCV) for what such images can teach.
    """
    count = {"train": train_per_class, "test": test_per_class}[split]
    images = [draw(name, split, k, size, seed) for name in families for k in range(count)]
    labels = np.repeat(np.arange(len(families), dtype=np.int64), count)
    return Samples(list(map(Image.fromarray, images)), labels, list(families))


def draw(name: str, split: str, k: int, size: int, seed: int) -> np.ndarray:
    """Image number k of a family and a split: uint8 [size, size, 3]."""
    # By name and not by number, so that a new family leaves the images of the others as they are.
    rng = np.random.default_rng([seed, SPLITS.index(split), crc32(name.encode()), k])
    return varied(rng, FAMILIES[name](rng, size))
