"""The classification datasets of torchvision, with their official splits where they have any.

One table says how each class of `torchvision.datasets` names its splits. The train split is all that is labelled and
not for testing, validation images included, as in the transfer-learning literature (Kornblith et al., CVPR 2019).
"""

from __future__ import annotations

import inspect
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL.Image import Image
from pydantic import Field
from torch.utils.data import ConcatDataset
from torchvision import datasets

from prunetransfer.datasets.drawing import Chosen
from prunetransfer.datasets.files import open_image
from prunetransfer.datasets.samples import Samples, held_out
from prunetransfer.settings.registry import dataset_kind
from prunetransfer.settings.types import Draw, Encoded, says

Parts = tuple[Mapping[str, Any], ...]  # arguments of the class, for each part of a split

TEST_SHARE = 0.2


def _splits(**parts: str) -> dict[str, Parts]:
    return {split: tuple({"split": part} for part in parts[split].split("+")) for split in parts}


FLAG: dict[str, Parts] = {"train": ({"train": True},), "test": ({"train": False},)}
UNSPLIT: dict[str, Parts] = {"all": ({},)}

SPLITS_OF: dict[str, dict[str, Parts]] = {
    "CIFAR10": FLAG,
    "CIFAR100": FLAG,
    "Caltech101": UNSPLIT,
    "Caltech256": UNSPLIT,
    "Country211": _splits(train="train+valid", test="test"),
    "DTD": _splits(train="train+val", test="test"),
    "EMNIST": FLAG,
    "EuroSAT": UNSPLIT,
    "FGVCAircraft": _splits(train="trainval", test="test"),
    "FashionMNIST": FLAG,
    "Flowers102": _splits(train="train+val", test="test"),
    "Food101": _splits(train="train", test="test"),
    "GTSRB": _splits(train="train", test="test"),
    "Imagenette": _splits(train="train", test="val"),
    "KMNIST": FLAG,
    "MNIST": FLAG,
    "OxfordIIITPet": _splits(train="trainval", test="test"),
    "PCAM": _splits(train="train+val", test="test"),
    "RenderedSST2": _splits(train="train+val", test="test"),
    "STL10": _splits(train="train", test="test"),
    "SUN397": UNSPLIT,
    "SVHN": _splits(train="train", test="test"),
    "StanfordCars": _splits(train="train", test="test"),
    "USPS": FLAG,
}

# Where one download holds several tasks: the argument that chooses, and what it may be, the default first.
VARIANTS: dict[str, tuple[str, tuple[str | int, ...]]] = {
    "DTD": ("partition", tuple(range(1, 11))),
    "EMNIST": ("split", ("balanced", "byclass", "bymerge", "letters", "digits", "mnist")),
    "FGVCAircraft": ("annotation_level", ("variant", "family", "manufacturer")),
}


@dataset_kind(images=Encoded, downloaded_by=("name",))
def torchvision(
    split: str,
    *,
    name: Annotated[str, Field(description="The class of `torchvision.datasets`."), says(enum=sorted(SPLITS_OF))],
    variant: Annotated[
        str | int | None,
        Field(
            description="The task of EMNIST (`balanced`, `byclass`, `bymerge`, `letters`, `digits`, `mnist`), the "
            "partition of DTD (1 to 10), or the level of FGVCAircraft (`variant`, `family`, `manufacturer`); left "
            "out, the first."
        ),
        says(allowed="a variant of that dataset"),
    ] = None,
    seed: Draw = 0,
    folder: Path,
) -> Samples:
    """A dataset of torchvision, downloaded to `resources/datasets`; its splits stand in docs/datasets.md.

    Returns one split of the dataset that lies in `folder`; nothing is downloaded. Without official splits a draw of 20%
    of each class, which `seed` decides, is the test split. Raises ValueError if torchvision has no such dataset or
    variant, or does not find the files whole.
    """
    chosen, parts = _variant(name, variant), SPLITS_OF[name]
    opened = [_open(name, folder, **chosen, **part) for part in parts.get(split, UNSPLIT["all"])]
    classes = _classes(opened[0])
    if any(_classes(part) != classes for part in opened):
        raise ValueError(f"{name}: the parts of its {split} split differ in their classes")
    images, labels = Images(name, opened), np.concatenate([_labels(part) for part in opened])
    if split not in parts:
        order = _order(opened[0])
        order = order[held_out(labels[order], TEST_SHARE, seed) == (split == "test")]
        images, labels = Chosen(images, order), labels[order]
    return Samples(images, *_named(labels, classes))


def download(folder: Path, name: str) -> None:
    """Let torchvision fetch the dataset, verify it and unpack it in `folder`. Raises ValueError if it cannot."""
    for part in [part for parts in SPLITS_OF[name].values() for part in parts]:
        _open(name, folder, download=True, **_variant(name, None), **part)


class Images(Sequence):
    """The images of some datasets in a row. Raises ValueError, naming the image, for one that cannot be read."""

    def __init__(self, name: str, parts: Sequence[Any]):
        self.name, self.parts = name, ConcatDataset(parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> Image:
        if not 0 <= index < len(self):
            raise IndexError(index)
        try:
            return self.parts[index][0]
        except Exception as error:  # a damaged file makes a decoder raise almost anything
            raise ValueError(f"{self.name}, image {index}: {error}") from None


def _variant(name: str, variant: str | int | None) -> dict[str, Any]:
    if name not in SPLITS_OF:
        raise ValueError(f"no such dataset {name!r}; allowed are {', '.join(SPLITS_OF)}")
    if name not in VARIANTS:
        if variant is not None:
            raise ValueError(f"{name} has no variants, got {variant!r}")
        return {}
    argument, allowed = VARIANTS[name]
    if variant is not None and variant not in allowed:
        raise ValueError(f"{name} has no variant {variant!r}; allowed are {', '.join(map(str, allowed))}")
    return {argument: allowed[0] if variant is None else variant}


def _open(name: str, folder: Path, **arguments: Any) -> Any:
    dataset = getattr(datasets, name)
    if "loader" in inspect.signature(dataset).parameters:
        arguments["loader"] = open_image
    try:
        return dataset(folder, **arguments)
    except (RuntimeError, OSError, ValueError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise ValueError(f"{name} in {folder}: {error}") from None


def _classes(dataset: Any) -> list[str] | None:
    """The names of the classes; None where torchvision has none."""
    names = getattr(dataset, "classes", None) or getattr(dataset, "categories", None)
    return [name if isinstance(name, str) else name[0] for name in names] if names else None


def _labels(dataset: Any) -> np.ndarray:
    """The labels, int64 [n], in the attribute that this dataset keeps them in: reading them off it would decode all."""
    if hasattr(dataset, "h5py"):
        with dataset.h5py.File(dataset._base_folder / dataset._FILES[dataset._split]["targets"][0]) as file:
            labels = file["y"][:, 0, 0, 0]
    elif hasattr(dataset, "_samples"):
        labels = [label for _, label in dataset._samples]
    else:
        labels = next(getattr(dataset, key) for key in ("targets", "labels", "_labels", "y") if hasattr(dataset, key))
    return np.asarray(labels, dtype=np.int64)


def _order(dataset: Any) -> np.ndarray:
    """Indices in order of file name; as they stand where torchvision has sorted them."""
    files = getattr(dataset, "_image_files", range(len(dataset)))
    return np.asarray(sorted(range(len(dataset)), key=files.__getitem__))


def _named(labels: np.ndarray, classes: list[str] | None) -> tuple[np.ndarray, list[str]]:
    """Labels from 0 (the letters of EMNIST start at 1) and the names of the classes: numbers where there are none."""
    names = classes or [str(label) for label in range(labels.max() + 1)]
    return (labels - 1, names[1:]) if names[0] == "N/A" else (labels, names)
