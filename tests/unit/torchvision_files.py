"""Small files in the very formats that the providers of torchvision's datasets give out."""

from __future__ import annotations

import bz2
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

Items = list[tuple[int, int]]  # label and grey level of each image
Parts = dict[str, Items]  # by the provider's name of the part: train, val, test
WRITERS: dict[str, Callable[[Path, Parts], None]] = {}


def writer(*names: str) -> Callable:
    """Register a function that writes the parts of these datasets into a folder: (folder, parts[, name])."""

    def register(function: Callable) -> Callable:
        for name in names:
            takes_name = function.__code__.co_argcount == 3
            WRITERS[name] = (lambda folder, parts, name=name: function(folder, parts, name)) if takes_name else function
        return function

    return register


def plain(items: Items, *shape: int) -> np.ndarray:
    """Images of one level each, uint8 [n, *shape]."""
    return np.stack([np.full(shape, level, dtype=np.uint8) for _, level in items])


def save(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (level, level, level)).save(path)


def text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def numbered(folder: Path, parts: Parts, name: str) -> dict[str, list[tuple[str, int]]]:
    """Save all images under running numbers, as in `image_{:05d}.jpg`; returns number and label, by part."""
    saved: dict[str, list[tuple[str, int]]] = {}
    for part, items in parts.items():
        saved[part] = []
        for label, level in items:
            number = sum(map(len, saved.values())) + 1
            save(folder / name.format(number), level)
            saved[part].append((number, label))
    return saved


def class_folders(folder: Path, items: Items, names: list[str], file: str) -> list[str]:
    """Save images in one folder a class; returns their paths there, without the ending."""
    paths = []
    for k, (label, level) in enumerate(items):
        path = f"{names[label]}/{file.format(k)}"
        save(folder / path, level)
        paths.append(path.rsplit(".", 1)[0])
    return paths


@writer("CIFAR10", "CIFAR100")
def cifar(folder: Path, parts: Parts, name: str) -> None:
    ten = name == "CIFAR10"
    folder /= "cifar-10-batches-py" if ten else "cifar-100-python"
    folder.mkdir(parents=True)
    batches = {"test_batch": parts["test"]} if ten else {"train": parts["train"], "test": parts["test"]}
    for k in range(5 if ten else 0):
        batches[f"data_batch_{k + 1}"] = parts["train"][k : k + 1 if k < 4 else None]
    for file, items in batches.items():
        data = plain(items, 3072) if items else np.zeros((0, 3072), dtype=np.uint8)
        labels = {"labels" if ten else "fine_labels": [label for label, _ in items]}
        (folder / file).write_bytes(pickle.dumps({"data": data, **labels}))
    meta = {"label_names" if ten else "fine_label_names": ["apple", "bear"]}
    (folder / ("batches.meta" if ten else "meta")).write_bytes(pickle.dumps(meta))


@writer("SVHN")
def svhn(folder: Path, parts: Parts) -> None:
    for part, items in parts.items():
        labels = np.array([[label or 10] for label, _ in items])
        savemat(folder / f"{part}_32x32.mat", {"X": plain(items, 32, 32, 3).transpose(1, 2, 3, 0), "y": labels})


@writer("MNIST", "FashionMNIST", "KMNIST", "EMNIST")
def idx(folder: Path, parts: Parts, name: str) -> None:
    raw = folder / name / "raw"
    raw.mkdir(parents=True)
    stems = {"train": "train", "test": "t10k"}
    if name == "EMNIST":
        stems = {part: f"emnist-{variant}-{part}" for variant in ("letters", "balanced") for part in stems}
        letters = {part: [(label + 1, level) for label, level in items] for part, items in parts.items()}
        for part in letters:
            write_idx(raw, f"emnist-letters-{part}", letters[part])
    for part, stem in stems.items():
        write_idx(raw, stem, parts[part])


def write_idx(raw: Path, stem: str, items: Items) -> None:
    images, labels = plain(items, 28, 28), np.array([label for label, _ in items], dtype=np.uint8)
    header = [np.array([0x800 + array.ndim, *array.shape], dtype=">i4").tobytes() for array in (images, labels)]
    (raw / f"{stem}-images-idx3-ubyte").write_bytes(header[0] + images.tobytes())
    (raw / f"{stem}-labels-idx1-ubyte").write_bytes(header[1] + labels.tobytes())


@writer("USPS")
def usps(folder: Path, parts: Parts) -> None:
    for file, items in {"usps.bz2": parts["train"], "usps.t.bz2": parts["test"]}.items():
        lines = [
            f"{label + 1} " + " ".join(f"{k}:{(level + 0.5) / 255 * 2 - 1:.6f}" for k in range(1, 257))
            for label, level in items
        ]
        (folder / file).write_bytes(bz2.compress("\n".join(lines).encode()))


@writer("STL10")
def stl10(folder: Path, parts: Parts) -> None:
    folder /= "stl10_binary"
    text(folder / "class_names.txt", ["airplane", "bird"])
    (folder / "unlabeled_X.bin").write_bytes(bytes(3 * 96 * 96))
    for part, items in parts.items():
        (folder / f"{part}_X.bin").write_bytes(plain(items, 3, 96, 96).tobytes())
        (folder / f"{part}_y.bin").write_bytes(bytes(label + 1 for label, _ in items))


@writer("DTD")
def dtd(folder: Path, parts: Parts) -> None:
    folder /= "dtd/dtd"
    for part, items in parts.items():
        paths = class_folders(folder / "images", items, ["banded", "dotted"], part + "_{:04d}.jpg")
        text(folder / f"labels/{part}1.txt", [f"{path}.jpg" for path in paths])
        text(folder / f"labels/{part}2.txt", [f"{path}.jpg" for path in paths[::-1]])


@writer("EuroSAT")
def eurosat(folder: Path, parts: Parts) -> None:
    class_folders(folder / "eurosat/2750", parts["all"], ["AnnualCrop", "Forest"], "x_{:02d}.jpg")


@writer("Flowers102")
def flowers102(folder: Path, parts: Parts) -> None:
    folder /= "flowers-102"
    saved = numbered(folder / "jpg", parts, "image_{:05d}.jpg")
    keys = {"train": "trnid", "val": "valid", "test": "tstid"}
    savemat(folder / "setid.mat", {keys[part]: [[number for number, _ in saved[part]]] for part in parts})
    savemat(folder / "imagelabels.mat", {"labels": [[label + 1 for part in parts for _, label in saved[part]]]})


@writer("OxfordIIITPet")
def pets(folder: Path, parts: Parts) -> None:
    folder /= "oxford-iiit-pet"
    for part, items in parts.items():
        names = [f"{['Abyssinian', 'great_pyrenees'][label]}_{level}" for label, level in items]
        for name, (_, level) in zip(names, items, strict=True):
            save(folder / f"images/{name}.jpg", level)
        lines = [f"{name} {label + 1} {label + 1} 1" for name, (label, _) in zip(names, items, strict=True)]
        text(folder / f"annotations/{part}.txt", lines)


@writer("StanfordCars")
def stanford_cars(folder: Path, parts: Parts) -> None:
    folder /= "stanford_cars"
    (folder / "devkit").mkdir(parents=True)
    savemat(folder / "devkit/cars_meta.mat", {"class_names": np.array([["Acura", "BMW M3"]], dtype=object)})
    for part, path in {"train": "devkit/cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}.items():
        saved = numbered(folder / f"cars_{part}", {part: parts[part]}, "{:05d}.jpg")[part]
        rows = [(1, 1, 7, 7, label + 1, f"{number:05d}.jpg") for number, label in saved]
        kinds = [(key, object) for key in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
        savemat(folder / path, {"annotations": np.array([rows], dtype=kinds)})


@writer("FGVCAircraft")
def aircraft(folder: Path, parts: Parts) -> None:
    folder /= "fgvc-aircraft-2013b/data"
    names = {"variant": ["707-320", "DC-3 A"], "manufacturer": ["Boeing", "Douglas"]}
    for level, file in (("variant", "variants.txt"), ("manufacturer", "manufacturers.txt")):
        text(folder / file, names[level])
        for part, items in numbered(folder / "images", parts, "{:07d}.jpg").items():
            lines = [f"{number:07d} {names[level][label]}" for number, label in items]
            text(folder / f"images_{level}_{part}.txt", lines)


@writer("Food101")
def food101(folder: Path, parts: Parts) -> None:
    folder /= "food-101"
    names = ["apple_pie", "waffles"]
    for part, items in parts.items():
        paths = class_folders(folder / "images", items, names, part + "{:d}.jpg")
        listed = {name: [path for path in paths if path.startswith(name)] for name in names}
        text(folder / f"meta/{part}.json", [json.dumps(listed)])


@writer("Caltech101")
def caltech101(folder: Path, parts: Parts) -> None:
    folder /= "caltech101/101_ObjectCategories"
    (folder / "BACKGROUND_Google").mkdir(parents=True)
    for label, name in enumerate(["Faces", "ant"]):
        items = [item for item in parts["all"] if item[0] == label]
        numbered(folder / name, {"all": items}, "image_{:04d}.jpg")


@writer("Caltech256")
def caltech256(folder: Path, parts: Parts) -> None:
    for label, name in enumerate(["001.ak47", "002.american-flag"]):
        items = [item for item in parts["all"] if item[0] == label]
        place = folder / "caltech256/256_ObjectCategories" / name
        numbered(place, {"all": items}, f"{label + 1:03d}_" + "{:04d}.jpg")


@writer("GTSRB")
def gtsrb(folder: Path, parts: Parts) -> None:
    folder /= "gtsrb"
    class_folders(folder / "GTSRB/Training", parts["train"], ["00000", "00001"], "00000_{:05d}.ppm")
    saved = numbered(folder / "GTSRB/Final_Test/Images", {"test": parts["test"]}, "{:05d}.ppm")["test"]
    header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
    text(folder / "GT-final_test.csv", [header, *(f"{number:05d}.ppm;8;8;1;1;7;7;{label}" for number, label in saved)])


@writer("SUN397")
def sun397(folder: Path, parts: Parts) -> None:
    folder /= "SUN397"
    class_folders(folder, parts["all"], ["a/abbey", "t/thriftshop/indoor"], "sun_{:032d}.jpg")
    text(folder / "ClassName.txt", ["/a/abbey", "/t/thriftshop/indoor"])


@writer("PCAM")
def pcam(folder: Path, parts: Parts) -> None:
    import h5py

    (folder / "pcam").mkdir()
    for part, items in parts.items():
        stem = f"camelyonpatch_level_2_split_{'valid' if part == 'val' else part}"
        with h5py.File(folder / f"pcam/{stem}_x.h5", "w") as file:
            file["x"] = plain(items, 96, 96, 3)
        with h5py.File(folder / f"pcam/{stem}_y.h5", "w") as file:
            file["y"] = np.array([label for label, _ in items], dtype=np.uint8).reshape(-1, 1, 1, 1)


@writer("Country211")
def country211(folder: Path, parts: Parts) -> None:
    for part, items in parts.items():
        class_folders(folder / "country211" / part, items, ["AD", "AE"], "{:d}.jpg")


@writer("RenderedSST2")
def rendered_sst2(folder: Path, parts: Parts) -> None:
    for part, items in parts.items():
        place = folder / "rendered-sst2" / ("valid" if part == "val" else part)
        class_folders(place, items, ["negative", "positive"], "{:d}.png")


@writer("Imagenette")
def imagenette(folder: Path, parts: Parts) -> None:
    for part, items in parts.items():
        class_folders(folder / "imagenette2" / part, items, ["n01440764", "n02102040"], "x_{:d}.JPEG")
