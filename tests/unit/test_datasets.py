"""Labelled images: which kinds there are, what they refuse, and the generated ones."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageFont
from unit.pictures import FEW, contents, grey

from prunetransfer.datasets.kinds import glyphs, textures
from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.samples import Samples, held_out

GENERATED = [("digits", {}), ("glyphs", FEW), ("textures", FEW)]


# Samples


@pytest.mark.parametrize(
    ("labels", "classes", "complaint"),
    [
        ([0, 2], ["cats", "dogs"], "label 2 is out of range: 2 classes allow 0 to 1"),
        ([-1, 0], ["cats", "dogs"], "label -1 is out of range"),
        ([0, 1, 1], ["cats", "dogs"], "2 images but 3 labels"),
    ],
)
def test_samples_refuse_labels_that_name_nothing(labels, classes, complaint):
    with pytest.raises(ValueError, match=complaint):
        Samples([grey(0), grey(1)], np.array(labels), classes)


@pytest.mark.parametrize(
    ("kind", "split", "settings", "complaints"),
    [
        ("glyph", "train", {}, ["'glyph'", "digits, folder, glyphs, huggingface, npz, parquet, procedural, textures,"]),
        ("digits", "val", {}, ["'val'", "train, test"]),
        ("textures", "train", {"sed": 1}, ["'textures'", "'sed'", "seed, train_per_class, test_per_class"]),
        ("folder", "train", {}, ["'folder'", "'path'"]),
    ],
)
def test_load_samples_says_what_is_allowed(kind, split, settings, complaints, tmp_path):
    with pytest.raises(ValueError) as error:
        load_samples(kind, split, settings, tmp_path)
    assert all(complaint in str(error.value) for complaint in complaints)


def test_held_out_takes_its_share_of_every_class():
    labels = np.repeat([0, 1, 2], [10, 5, 2])
    chosen = held_out(labels, 0.4, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [4, 2, 1]
    assert (held_out(labels, 0.4, seed=0) == chosen).all()
    assert (held_out(labels, 0.4, seed=1) != chosen).any()


# Generated kinds


@pytest.mark.parametrize(("kind", "settings"), GENERATED)
def test_seed_decides_the_images(kind, settings, tmp_path):
    def bytes_of(seed: int) -> list[bytes]:
        return contents(load_samples(kind, "train", {**settings, "seed": seed}, tmp_path))

    assert bytes_of(0) == bytes_of(0)
    assert bytes_of(0) != bytes_of(1)


@pytest.mark.parametrize(("kind", "settings"), GENERATED)
def test_train_and_test_share_classes_but_no_image(kind, settings, tmp_path):
    train, test = (load_samples(kind, split, settings, tmp_path) for split in ("train", "test"))
    assert train.classes == test.classes
    assert train.labels.dtype == test.labels.dtype == np.int64
    assert not set(contents(train)) & set(contents(test))


def test_digits_are_all_there_and_stratified(tmp_path):
    train, test = (load_samples("digits", split, {}, tmp_path) for split in ("train", "test"))
    assert (len(train.images), len(test.images)) == (1078, 719)
    share = np.bincount(test.labels) / (np.bincount(train.labels) + np.bincount(test.labels))
    assert np.abs(share - 0.4).max() < 0.005
    assert max(image.getextrema()[1] for image in train.images) == 255


@pytest.mark.parametrize(("kind", "classes"), [("glyphs", 26), ("textures", 10)])
def test_counts_are_those_asked_for(kind, classes, tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        assert np.bincount(load_samples(kind, split, FEW, tmp_path).labels).tolist() == [count] * classes


def test_glyphs_test_on_fonts_of_other_families():
    families = {
        split: {ImageFont.truetype(str(glyphs._font(name)), 10).getname()[0] for name in names}
        for split, names in glyphs.FONTS.items()
    }
    assert len(families["train"]) == 4 and len(families["test"]) == 5
    assert not families["train"] & families["test"]


def test_glyphs_name_a_font_that_is_missing(monkeypatch):
    monkeypatch.setitem(glyphs.FONTS, "train", ("NoSuchFont.ttf",))
    with pytest.raises(ValueError, match=r"NoSuchFont\.ttf: Matplotlib .* lacks a font"):
        glyphs.glyphs("train")


def test_every_glyph_is_drawn_inside_its_image(monkeypatch):
    monkeypatch.setattr(glyphs, "NOISE", 0.0)
    for image in glyphs.glyphs("train", train_per_class=len(glyphs.FONTS["train"])).images:
        pixels = np.asarray(image).astype(int)
        inked = pixels < pixels.max() - 75
        edge = inked.copy()
        edge[1:-1, 1:-1] = False
        assert inked.sum() > 100
        assert edge.sum() < 16  # a tilted serif may touch the frame, no more


@pytest.mark.parametrize("name", sorted(textures.PATTERNS))
def test_every_pattern_has_figure_and_ground(name, monkeypatch):
    u, v = np.meshgrid(np.linspace(-3, 3, 64), np.linspace(-3, 3, 64))
    values = textures.PATTERNS[name](u[None], v[None], np.random.default_rng(0))
    assert values.shape == (1, 64, 64)
    assert 0 <= values.min() < 0.2 and 0.8 < values.max() <= 1
    assert 0.1 < values.mean() < 0.9
