"""The square that an image of any shape becomes, and those of real images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from timm.data import create_transform
from unit.pictures import noise

from prunetransfer.datasets import prepared
from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.prepared import Preparation


@pytest.mark.parametrize("shape", [(48, 64), (101, 53), (40, 40), (33, 200)])
@pytest.mark.parametrize("crop", [1.0, 0.9, 0.875])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_squares_are_those_of_timm(shape, crop, interpolation, mode):
    image = Image.fromarray(noise(0, (*shape, 3)))
    how = {"interpolation": interpolation, "crop_pct": crop, "crop_mode": mode, "mean": (0.485, 0.456, 0.406)}
    for size in (32, 57):
        expected = create_transform(size, **how, normalize=False)(image).permute(1, 2, 0).numpy()
        assert (Preparation(size, interpolation, crop, mode, "7c7468")(image) == expected).all()


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (2, 90)])
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_an_image_of_any_shape_is_enlarged_within_bounds(shape, mode, monkeypatch):
    areas = []
    resize = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda *a: areas.append(a[1][0] * a[1][1]) or resize(*a))
    image = Image.fromarray(noise(0, (*shape, 3)))
    assert Preparation(224, "bicubic", 0.9, mode)(image).shape == (224, 224, 3)
    assert max(areas) <= prepared.MOST_PIXELS


@pytest.mark.parametrize("shape", [(3, 300), (300, 3)])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_cropping_first_gives_the_same_square(shape, interpolation, monkeypatch):
    image, preparation = Image.fromarray(noise(0, (*shape, 3))), Preparation(32, interpolation, 0.875)
    whole = preparation(image).astype(int)
    monkeypatch.setattr(prepared, "MOST_PIXELS", 0)
    assert np.abs(preparation(image) - whole).max() <= 1


def test_centre_of_the_long_side_is_kept():
    wide = np.zeros((20, 60), dtype=np.uint8)
    wide[:, 20:40] = 255
    for pixels in (Preparation(10)(Image.fromarray(image)) for image in (wide, wide.T.copy())):
        assert (pixels[2:-2, 2:-2] == 255).all() and pixels.min() > 100


@pytest.mark.parametrize(
    ("name", "mode", "counts", "classes"), [("rsscn7", "RGB", (770, 280), 7), ("omniglot", "1", (1904, 816), 136)]
)
def test_real_images_are_prepared(name, mode, counts, classes, shared_data):
    train, test = (load_samples("folder", split, {"path": name}, shared_data) for split in ("train", "test"))
    assert (len(train.images), len(test.images)) == counts
    assert len(train.classes) == classes
    assert test.images[0].mode == mode
    images = np.stack([Preparation(64)(test.images[k]) for k in range(40)])
    assert images.std(axis=(1, 2, 3)).min() > 5
    assert (np.ptp(images, axis=3).max() == 0) == (mode == "1")
