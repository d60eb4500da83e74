"""Every entry of the torchvision table, read from small files of the provider's own format."""

from __future__ import annotations

import gzip
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image
from unit.torchvision_files import WRITERS, Parts

from prunetransfer.datasets import downloads
from prunetransfer.datasets.downloads import download, folder_of
from prunetransfer.datasets.kinds.torchvision import SPLITS_OF, UNSPLIT
from prunetransfer.datasets.kinds.torchvision import torchvision as load
from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.samples import Samples
from prunetransfer.settings.registry import find

CLASSES = {
    "CIFAR10": ["apple", "bear"],
    "CIFAR100": ["apple", "bear"],
    "Caltech101": ["Faces", "ant"],
    "Caltech256": ["001.ak47", "002.american-flag"],
    "Country211": ["AD", "AE"],
    "DTD": ["banded", "dotted"],
    "EMNIST": ["0", "1"],
    "EuroSAT": ["AnnualCrop", "Forest"],
    "FGVCAircraft": ["707-320", "DC-3 A"],
    "FashionMNIST": ["T-shirt/top", "Trouser"],
    "Flowers102": ["pink primrose", "hard-leaved pocket orchid"],
    "Food101": ["apple_pie", "waffles"],
    "GTSRB": ["0", "1"],
    "Imagenette": ["tench", "English springer"],
    "KMNIST": ["o", "ki"],
    "MNIST": ["0 - zero", "1 - one"],
    "OxfordIIITPet": ["Abyssinian", "Great Pyrenees"],
    "PCAM": ["0", "1"],
    "RenderedSST2": ["negative", "positive"],
    "STL10": ["airplane", "bird"],
    "SUN397": ["abbey", "thriftshop/indoor"],
    "SVHN": ["0", "1"],
    "StanfordCars": ["Acura", "BMW M3"],
    "USPS": ["0", "1"],
}


def origin(entry: dict[str, Any]) -> dict[str, Any]:
    return downloads.origin(entry, find("datasets", entry["kind"]).needs["downloaded_by"])


@pytest.fixture(autouse=True)
def any_digest(monkeypatch):
    """The small files cannot have the digests of the real ones: that a file exists is enough here."""
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("torchvision.datasets") and hasattr(module, "check_integrity"):
            monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: Path(path).is_file())


def parts_of(name: str) -> dict[str, list[str]]:
    """The provider's parts of each split, as the table has them."""
    flag = {True: "train", False: "test"}
    return {
        split: [part["split"] if "split" in part else flag[part["train"]] if part else "all" for part in parts]
        for split, parts in SPLITS_OF[name].items()
    }


def images_for(name: str) -> Parts:
    """Label and level of the images of each part: no level twice, labels in order, no part like another."""
    level = iter(range(4, 250, 6))
    sizes = {"all": (10, 5)}
    parts = [part for split in parts_of(name).values() for part in split]
    return {
        part: [(label, next(level)) for label in (0, 1) for _ in range(sizes.get(part, (2 + k, 3))[label])]
        for k, part in enumerate(parts)
    }


def contents(samples: Samples) -> list[tuple[int, int]]:
    """Label and level of each image; a JPEG may be off by a level or two."""
    levels = [6 * round((np.asarray(image).mean() - 4) / 6) + 4 for image in samples.images]
    return list(zip(samples.labels.tolist(), levels, strict=True))


@pytest.fixture
def written(tmp_path):
    def write(name: str) -> tuple[Path, Parts]:
        if name == "PCAM":
            pytest.importorskip("h5py")
        parts = images_for(name)
        WRITERS[name](tmp_path, parts)
        return tmp_path, parts

    return write


def test_every_entry_is_tested():
    assert WRITERS.keys() == SPLITS_OF.keys() == CLASSES.keys()


@pytest.mark.parametrize("name", [name for name in SPLITS_OF if SPLITS_OF[name] is not UNSPLIT])
def test_official_splits(name, written):
    folder, parts = written(name)
    for split, of_split in parts_of(name).items():
        samples = load(split, name=name, folder=folder)
        assert contents(samples) == [item for part in of_split for item in parts[part]]
        assert samples.labels.dtype == np.int64
        assert samples.classes[:2] == CLASSES[name]


@pytest.mark.parametrize("name", [name for name in SPLITS_OF if SPLITS_OF[name] is UNSPLIT])
def test_without_official_splits_a_fifth_of_each_class_is_held_out(name, written):
    folder, parts = written(name)
    train, test = (load(split, name=name, folder=folder) for split in ("train", "test"))
    assert sorted(contents(train) + contents(test)) == parts["all"]
    assert np.bincount(test.labels).tolist() == [2, 1]
    assert train.classes == test.classes == CLASSES[name]
    assert contents(load("test", name=name, folder=folder)) == contents(test)
    assert any(contents(load("test", name=name, seed=seed, folder=folder)) != contents(test) for seed in (1, 2, 3))


def test_the_held_out_images_do_not_depend_on_the_order_of_the_disk(written, monkeypatch):
    folder, _ = written("SUN397")
    first = contents(load("test", name="SUN397", folder=folder))
    rglob = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda path, pattern: reversed(list(rglob(path, pattern))))
    assert contents(load("test", name="SUN397", folder=folder)) == first


@pytest.mark.parametrize(
    ("name", "variant", "classes"),
    [
        ("EMNIST", "letters", ["a", "b"]),
        ("FGVCAircraft", "manufacturer", ["Boeing", "Douglas"]),
        ("DTD", 2, ["banded", "dotted"]),
    ],
)
def test_variants(name, variant, classes, written):
    folder, parts = written(name)
    samples = load("test", name=name, variant=variant, folder=folder)
    assert samples.classes[:2] == classes
    assert contents(samples) == (parts["test"][::-1] if name == "DTD" else parts["test"])


def test_labels_are_read_without_decoding_an_image(written, monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("an image was opened"))
    for name in ("OxfordIIITPet", "StanfordCars", "GTSRB", "RenderedSST2"):
        folder, parts = written(name)
        assert load("test", name=name, folder=folder).labels.tolist() == [label for label, _ in parts["test"]]


@pytest.mark.parametrize("name", ["Food101", "GTSRB", "OxfordIIITPet"])
def test_a_damaged_image_is_named(name, written):
    folder, _ = written(name)
    damaged = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".ppm"))
    for path in damaged:
        path.write_bytes(path.read_bytes()[:20])
    images = load("test", name=name, folder=folder).images
    with pytest.raises(ValueError, match=f"{name}, image 0: .*(not a readable|truncated|cannot identify)"):
        images[0]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"name": "CIFAR"}, "no such dataset 'CIFAR'; allowed are CIFAR10, CIFAR100"),
        ({"name": "DTD", "variant": 11}, "DTD has no variant 11; allowed are 1, 2"),
        ({"name": "MNIST", "variant": "letters"}, "MNIST has no variants, got 'letters'"),
        ({"name": "SVHN"}, "SVHN in .*resources/torchvision/SVHN: Dataset not found"),
        ({"name": "USPS"}, "USPS in .*resources/torchvision/USPS: .*No such file"),
    ],
)
def test_what_is_not_there_is_refused(settings, complaint, tmp_path):
    with pytest.raises(ValueError, match=complaint):
        load_samples("torchvision", "train", settings, tmp_path, downloads=tmp_path / "resources")


def test_pcam_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r"PCAM .*h5py is not found.*pip install h5py"):
        load("train", name="PCAM", folder=tmp_path)


# --- downloads ----------------------------------------------------------------------------------------------------


def test_entries_of_one_dataset_share_a_download(tmp_path):
    entries = [{"kind": "torchvision", "name": "DTD", "variant": k, "seed": k} for k in (1, 2)]
    (files,) = {str(origin(entry)): origin(entry) for entry in entries}.values()
    assert folder_of(files, tmp_path) == tmp_path / "torchvision/DTD"
    hub = {"kind": "huggingface", "name": "uoft-cs/cifar10", "subset": None, "revision": "abc", "image": "img"}
    assert folder_of(origin(hub), tmp_path) == tmp_path / "huggingface/uoft-cs--cifar10@abc"
    assert origin({"kind": "folder", "path": "x"}) == {}


@pytest.fixture
def provider(tmp_path, monkeypatch) -> Path:
    """A folder whose files torchvision fetches in place of those of the same name on the network."""
    folder = tmp_path / "provider"
    folder.mkdir()

    def fetch(url: str, root: str, filename: str | None = None, md5: str | None = None) -> None:
        source = folder / Path(url).name
        if not source.is_file():
            raise URLError("no network")
        Path(root).mkdir(parents=True, exist_ok=True)
        shutil.copy(source, Path(root) / (filename or source.name))

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", fetch)
    monkeypatch.setattr(torchvision.datasets.svhn, "download_url", fetch)
    return folder


def archived(name: str, source: Path, provider: Path) -> None:
    """Write what the provider of this dataset gives out: the files of `source`, packed."""
    parts = images_for(name)
    WRITERS[name](source, parts)
    if name == "MNIST":
        for file in (source / "MNIST/raw").iterdir():
            (provider / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    elif name == "DTD":
        with tarfile.open(provider / "dtd-r1.0.1.tar.gz", "w:gz") as archive:
            archive.add(source / "dtd/dtd", "dtd")
    elif name == "EuroSAT":
        shutil.make_archive(str(provider / "EuroSAT"), "zip", source / "eurosat")
    else:
        for file in source.iterdir():
            shutil.copy(file, provider)


@pytest.mark.parametrize("name", ["MNIST", "SVHN", "DTD", "EuroSAT"])
def test_a_download_is_unpacked_and_read_without_network(name, provider, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    archived(name, source, provider)
    entry = {"kind": "torchvision", "name": name}
    download(origin(entry), folder_of(origin(entry), tmp_path))
    shutil.rmtree(provider)
    download(origin(entry), folder_of(origin(entry), tmp_path))
    for split in ("train", "test"):
        found = load(split, name=name, folder=tmp_path / "torchvision" / name)
        assert contents(found) == contents(load(split, name=name, folder=source))


def test_a_failed_download_leaves_nothing_behind(provider, tmp_path):
    (provider / "train_32x32.mat").touch()
    entry = origin({"kind": "torchvision", "name": "DTD"})
    with pytest.raises(ValueError, match=r"DTD in .*no network"):
        download(entry, folder_of(entry, tmp_path))
    assert list((tmp_path / "torchvision").iterdir()) == []


def test_no_path_of_an_archive_leaves_the_folder(provider, tmp_path):
    for name in ("../../../outside.txt", f"{tmp_path}/outside.txt"):
        with tarfile.open(provider / "dtd-r1.0.1.tar.gz", "w:gz") as archive:
            archive.addfile(tarfile.TarInfo(name))
        with zipfile.ZipFile(provider / "EuroSAT.zip", "w") as archive:
            archive.writestr(name, "")
        for dataset in ("DTD", "EuroSAT"):
            entry = origin({"kind": "torchvision", "name": dataset})
            with pytest.raises(ValueError, match=f"{dataset} in "):
                download(entry, folder_of(entry, tmp_path / "resources"))
    assert not list(tmp_path.rglob("outside.txt"))


def test_a_python_that_cannot_unpack_safely_is_refused(tmp_path, monkeypatch):
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(ValueError, match=r"cannot unpack archives safely; 3\.11\.4"):
        download({"kind": "torchvision", "name": "DTD"}, tmp_path / "DTD")


def test_stanford_cars_are_put_in_place_by_hand(tmp_path):
    entry = origin({"kind": "torchvision", "name": "StanfordCars"})
    with pytest.raises(ValueError, match=r"StanfordCars in .*cannot be downloaded anymore"):
        download(entry, folder_of(entry, tmp_path))
