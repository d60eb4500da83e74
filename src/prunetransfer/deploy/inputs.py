"""Images in whatever form a training script has them, as one tensor of what the model takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from prunetransfer.datasets.kinds.procedural import ALL, draw
from prunetransfer.datasets.splits import Split
from prunetransfer.models.backbones import Backbone

TAKEN = (
    "images are a floating-point tensor [n, …] as the model takes them, a uint8 tensor [n, h, w, 3] or [n, 3, h, w] of "
    "pixels, or a Dataset or DataLoader of such images, alone or each with its label"
)


def gathered(
    images: Tensor | Iterable[Any], most: int, seed: int, config: Mapping[str, Any]
) -> tuple[Tensor, Tensor | None]:
    """Images as the model takes them, floating point [n, …], and the labels int64 [n] that came along, if any did.

    images: TAKEN. Of a tensor all are taken, as a score draws among them; of a dataset with a length `most`, drawn with
    the seed; of anything else the first `most`. config: has the mean and std that pixels are normalised by, of
    each channel in units of the range of uint8. Raises ValueError for other images, and numbers that are not finite.
    """
    labels = None
    if not isinstance(images, Tensor):
        images, labels = _stacked(images, most, seed)
    if images.dtype == torch.uint8:
        images = normalised(images, config.get("mean"), config.get("std"))
    if not images.is_floating_point():
        raise ValueError(f"images of type {images.dtype}; {TAKEN}")
    if images.dim() < 2 or not len(images):
        raise ValueError(f"images of shape {list(images.shape)}; {TAKEN}")
    if not images.isfinite().all():
        raise ValueError("images hold numbers that are NaN or infinite")
    return images.float(), labels


def normalised(pixels: Tensor, mean: Sequence[float] | None, std: Sequence[float] | None) -> Tensor:
    """uint8 [n, h, w, 3] or [n, 3, h, w] as the network of a Backbone is given them: float32 [n, 3, h, w]."""
    if pixels.dim() != 4 or 3 not in (pixels.shape[1], pixels.shape[3]):
        raise ValueError(f"pixels of shape {list(pixels.shape)}; {TAKEN}")
    if mean is None or std is None:
        raise ValueError(
            "pixels (uint8) are normalised by mean and std; this model does not say them: give mean=, std="
        )
    if pixels.shape[3] != 3:
        pixels = pixels.permute(0, 2, 3, 1)
    return Backbone(torch.nn.Identity(), mean, std).inputs(pixels)


def procedural_pixels(count: int, size: int, seed: int) -> Tensor:
    """`count` images made from nothing, uint8 [n, size, size, 3]; the families take turns."""
    drawn = [draw(ALL[k % len(ALL)], "train", k // len(ALL), size, seed) for k in range(count)]
    return torch.from_numpy(np.stack(drawn))


def unlabelled(images: Tensor) -> Split:
    """Images of which nothing is known."""
    return Split(images, torch.zeros(len(images), dtype=torch.int64), ("any",))


def _stacked(images: Iterable[Any], most: int, seed: int) -> tuple[Tensor, Tensor | None]:
    found, labels = [], []
    for image, label in _items(images, most, seed):
        if not isinstance(image, Tensor):
            raise ValueError(f"images holds a {type(image).__name__}; {TAKEN}")
        if found and image.shape != found[0].shape:
            raise ValueError(f"images of shapes {list(found[0].shape)} and {list(image.shape)}; all must be of one")
        found.append(image)
        labels.append(label)
    if not found:
        raise ValueError("images holds none")
    whole = all(isinstance(label, int) or (isinstance(label, Tensor) and label.dim() == 0) for label in labels)
    return torch.stack(found), torch.tensor([int(label) for label in labels]) if whole else None


def _items(images: Iterable[Any], most: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """Images one by one, each with its label; None where it has none."""
    if isinstance(images, DataLoader):
        left = most
        for batch in images:
            whole, labels = _pair(batch)
            if not isinstance(whole, Tensor):
                raise ValueError(f"a batch of images holds a {type(whole).__name__}; {TAKEN}")
            labels = [None] * len(whole) if labels is None else labels
            yield from list(zip(whole, labels, strict=True))[:left]
            if (left := left - len(whole)) <= 0:
                return
    elif hasattr(images, "__len__") and hasattr(images, "__getitem__") and not isinstance(images, Mapping):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        yield from (_pair(images[k]) for k in order[:most].sort().values.tolist())
    elif isinstance(images, IterableDataset):
        yield from (_pair(item) for item, _ in zip(images, range(most), strict=False))
    else:
        raise ValueError(f"images is a {type(images).__name__}; {TAKEN}")


def _pair(item: Any) -> tuple[Any, Any]:
    if not isinstance(item, tuple | list):
        return item, None
    if len(item) == 1:
        return item[0], None
    if len(item) != 2 or (isinstance(item[1], Tensor) and item[1].is_floating_point() and item[1].dim() > 1):
        shapes = ", ".join(str(list(x.shape)) if isinstance(x, Tensor) else type(x).__name__ for x in item)
        raise ValueError(f"an item of images holds {shapes}; a model of several inputs is not taken; {TAKEN}")
    return item[0], item[1]
