"""The stage that prepares the images of a dataset: what it skips, refuses, names in its log and obeys."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from snakemake.iocontainers import Params, Wildcards
from unit.pictures import folder

from prunetransfer.datasets.prepared import Preparation
from prunetransfer.datasets.splits import read_split
from prunetransfer.storage.artifacts import read_metadata


def prepare_images(repository: Path, root: Path, crop: str = "0.875", **settings) -> dict[str, Path]:
    """Run the stage's script on the images of `root`; returns its outputs."""
    outputs = {split: root / "out" / f"{split}.safetensors" for split in ("train", "test")}
    snakemake = SimpleNamespace(
        rule="prepare_images",
        log=[str(root / "out/log")],
        threads=2,
        wildcards=Wildcards(fromdict={"size": "8", "interpolation": "bilinear", "crop": crop}),
        params=Params(fromdict={"dataset": {"kind": "folder", "path": ".", **settings}, "data_root": root}),
        output=outputs,
    )
    runpy.run_path(str(repository / "workflow/scripts/prepare_images.py"), {"snakemake": snakemake})
    return outputs


def test_the_stage_stops_at_an_unreadable_image(repository, tmp_path, capfd):
    folder(tmp_path)
    with pytest.raises(SystemExit):
        prepare_images(repository, tmp_path, allow_overlap=True)
    assert "prepare_images: image 3: " in (told := capfd.readouterr().err) and "train/b/1.jpg: not a readable" in told
    assert not list((tmp_path / "out").glob("*safetensors*"))


def test_the_stage_skips_what_is_unreadable_where_it_may(repository, tmp_path):
    folder(tmp_path)
    outputs = prepare_images(repository, tmp_path, skip_unreadable=True, allow_overlap=True)
    assert read_split(outputs["train"]).labels.tolist() == [0, 0, 1, 1]
    log = (tmp_path / "out/log").read_text()
    assert "train: skipped image 3: " in log and "train: 4 images, 1 skipped" in log and "test: 2 images, 0" in log
    image = Image.open(tmp_path / "train/a/1.jpg")
    assert (read_split(outputs["train"]).images[1].numpy() == Preparation(8, "bilinear", 0.875)(image)).all()


def test_the_stage_names_what_was_passed_over(repository, tmp_path):
    folder(tmp_path)
    (tmp_path / "train/b/1.jpg").rename(tmp_path / "train/b/1.xcf")
    (tmp_path / "train/b" / os.fsdecode(b"M\xfcnchen.png")).write_bytes(b"no image")
    outputs = prepare_images(repository, tmp_path, skip_unreadable=True, allow_overlap=True)
    log = (tmp_path / "out/log").read_text()
    assert r"M\xfcnchen.png: not a readable image" in log
    assert "train: 4 images, 1 skipped" in log and "passed over 1 without an image's extension: train/b/1.xcf" in log
    metadata = read_metadata(outputs["train"])
    assert metadata["passed_over"]["without an image's extension"] == {"count": 1, "first": ["train/b/1.xcf"]}
    assert len(metadata["skipped"]) == 1 and r"M\xfcnchen.png" in metadata["skipped"][0]


@pytest.mark.parametrize(
    ("crop_mode", "preparation"), [("squash", ["squash"]), ("border-7c7468", ["border", "7c7468"])]
)
def test_the_stage_obeys_the_crop_mode(repository, tmp_path, crop_mode, preparation):
    folder(tmp_path)
    outputs = prepare_images(repository, tmp_path, crop=f"0.875-{crop_mode}", skip_unreadable=True, allow_overlap=True)
    image = Image.open(tmp_path / "train/a/1.jpg")
    assert (
        read_split(outputs["train"]).images[1].numpy() == Preparation(8, "bilinear", 0.875, *preparation)(image)
    ).all()


def test_the_stage_refuses_test_images_that_are_train_images(repository, tmp_path, capfd):
    folder(tmp_path)
    with pytest.raises(SystemExit):
        prepare_images(repository, tmp_path, skip_unreadable=True)
    assert "prepare_images: 2 of 2 test images are train images too: the first is " in capfd.readouterr().err
