"""Images made from nothing: each is its own draw, and each family has the statistics that it promises."""

from __future__ import annotations

import numpy as np
import pytest

from prunetransfer.datasets.kinds.procedural import ALL
from prunetransfer.datasets.loading import load_samples
from prunetransfer.datasets.procedural import FAMILIES, fields, gratings, leaves, shapes, strokes
from prunetransfer.datasets.procedural.drawing import Canvas, colours, log_uniform, outlines
from prunetransfer.datasets.procedural.vary import varied

FEW = {"train_per_class": 3, "test_per_class": 2, "size": 32}


def images(split: str = "train", **settings) -> dict[str, list[bytes]]:
    """Family → the bytes of its images."""
    settings = FEW | settings
    samples = load_samples("procedural", split, settings, ".")
    found = {name: [] for name in samples.classes}
    for image, label in zip(samples.images, samples.labels, strict=True):
        assert image.mode == "RGB" and image.size == (settings["size"],) * 2
        found[samples.classes[label]].append(image.tobytes())
    return found


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# The set


def test_the_seed_decides_every_byte_and_no_two_images_are_one():
    first = images()
    assert list(first) == list(ALL) == sorted(FAMILIES)
    assert images() == first
    drawn = [image for found in (first, images(seed=1), images("test")) for part in found.values() for image in part]
    assert len(set(drawn)) == len(drawn) == 3 * 6 + 3 * 6 + 2 * 6


def test_a_smaller_set_is_a_part_of_a_larger_one():
    one, three = images(train_per_class=1), images()
    assert {name: part[:1] for name, part in three.items()} == one


def test_a_familys_images_do_not_depend_on_the_others():
    chosen = images(families=["warped", "gratings"])
    assert list(chosen) == ["warped", "gratings"]
    assert chosen.items() <= images().items()
    assert list(images(families=["noise"])) == ["noise"]  # a single one is no task, and need be none


@pytest.mark.parametrize("size", [16, 33, 64])
@pytest.mark.parametrize("name", ALL)
def test_every_image_has_its_size_and_shows_something(name, size):
    for k in range(5):
        image = FAMILIES[name](rng(k), size)
        assert image.shape == (size, size, 3) and image.dtype == np.uint8
        assert len(np.unique(image.reshape(-1, 3), axis=0)) >= 4
        assert image.std(axis=(0, 1)).max() > 4


def test_the_images_of_a_family_have_many_hues_and_strong_colours():
    for name in ALL:
        pixels = np.stack([FAMILIES[name](rng(k), 32) for k in range(30)]).reshape(30, -1, 3).astype(float)
        chroma = np.ptp(pixels, axis=2)
        assert chroma.mean() > 40, name
        strongest = pixels.mean(1).argmax(1)
        assert set(strongest) == {0, 1, 2}, name


def test_families_differ_in_how_fine_they_are():
    """Mean absolute step from pixel to pixel over the standard deviation: small where an image is smooth."""

    def roughness(name: str) -> float:
        drawn = np.stack([FAMILIES[name](rng(k), 64) for k in range(20)]).astype(float)
        return np.abs(np.diff(drawn, axis=2)).mean() / drawn.std(axis=(1, 2)).mean()

    rough = {name: roughness(name) for name in ALL}
    assert rough["shapes"] < rough["dead_leaves"] and rough["warped"] < rough["noise"]
    assert len({round(value, 3) for value in rough.values()}) == 6


def test_half_of_the_images_are_grey_and_half_are_coarse():
    """Of white noise, whose pixels have nothing to do with their neighbours unless it is coarse."""
    ways, drawn = np.zeros((2, 2), dtype=int), rng()
    for _ in range(400):
        given = drawn.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        image = varied(drawn, given).astype(float)
        grey = (image == image[..., :1]).all()
        alike = np.corrcoef(image[:, 1:, 0].ravel(), image[:, :-1, 0].ravel())[0, 1]
        assert not 0.2 < alike < 0.5
        ways[int(grey), int(alike > 0.5)] += 1
        if not grey and alike < 0.5:
            assert (image == given).all()
    assert (abs(ways / 400 - 0.25) < 0.07).all()


def test_a_coarse_image_keeps_its_mean_colour():
    given = FAMILIES["shapes"](rng(3), 64)
    for seed in range(20):
        image = varied(rng(seed), given)
        assert image.shape == given.shape and image.dtype == np.uint8
        assert image.mean() == pytest.approx(given.mean(), abs=8)  # luma and mean differ


# What families draw with


def test_log_uniform_has_as_many_numbers_in_each_octave():
    drawn = log_uniform(rng(), 1, 16, 40_000)
    octaves = np.bincount(np.log2(drawn).astype(int), minlength=4)
    assert len(octaves) == 4 and np.abs(octaves / 40_000 - 0.25).max() < 0.01


def test_colours_stay_in_range_and_go_around_the_wheel():
    drawn = np.concatenate([colours(rng(seed), 10) for seed in range(200)])
    assert drawn.min() >= 0 and drawn.max() <= 1
    assert np.allclose(np.bincount(drawn.argmax(1)) / 2000, 1 / 3, atol=0.07)
    assert np.median(1 - drawn.min(1) / drawn.max(1)) > 0.6  # saturation


def test_an_outline_lies_within_its_ellipse():
    corners = outlines(rng(), np.array([0.1, 0.3]), 12, ragged=0.5, narrow=np.array([0.5, 1.0]))
    away = np.linalg.norm(corners, axis=2)
    assert corners.shape == (2, 12, 2) and (away.max(1) <= [0.1, 0.3]).all() and (away.min(1) >= [0.025, 0.15]).all()
    disc = np.linalg.norm(outlines(rng(), np.array([0.2]), 20), axis=2)
    assert np.allclose(disc, 0.2)


def test_a_canvas_smooths_edges_and_takes_what_lies_half_outside():
    canvas = Canvas(np.zeros((8, 8, 3), dtype=np.uint8))
    triangle = np.array([[-0.5, -0.5], [0.9, -0.5], [-0.5, 0.9]])
    canvas.polygon(triangle, (200, 0, 0))
    canvas.paste(triangle + 0.7, np.full((2, 2, 3), 100, dtype=np.uint8))
    red = canvas.pixels()[..., 0]
    assert red[0, 0] == 200 and red[7, 0] == 0 and red[2, 2] == 100
    assert ((red > 0) & (red < 100)).any()


# Families


def test_the_radii_of_leaves_have_density_r_to_the_minus_three():
    smallest, largest = 0.02, 0.4
    drawn = leaves.radii(rng(), smallest, largest, 100_000)
    assert smallest <= drawn.min() and drawn.max() <= largest
    for edge in (0.025, 0.04, 0.1, 0.2):
        expected = (edge**-2 - largest**-2) / (smallest**-2 - largest**-2)
        assert np.mean(drawn > edge) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.5])
def test_noise_has_the_spectrum_that_was_drawn(exponent):
    size = 128
    drawn = fields.power_law(rng(), size, exponent, 8)
    assert drawn.shape == (size, size, 8) and np.allclose(drawn.mean((0, 1)), 0, atol=1e-4)
    assert np.allclose(drawn.std((0, 1)), 1, atol=1e-4)
    power = (np.abs(np.fft.fft2(drawn, axes=(0, 1))) ** 2).mean(-1)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    shown = (frequency > 2 / size) & (frequency < 0.45)
    slope = np.polyfit(np.log(frequency[shown]), np.log(power[shown]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.05)


def test_the_channels_of_noise_go_together():
    def correlation(image: np.ndarray) -> float:
        return np.abs(np.corrcoef(image.reshape(-1, 3).T)[np.triu_indices(3, 1)]).mean()

    found = [correlation(fields.noise(rng(k), 64)) for k in range(30)]
    independent = correlation(fields.power_law(rng(), 64, 1.0, 3))
    assert np.mean(found) > 0.5 > 5 * independent


def test_octaves_get_finer_and_fainter():
    drawn = fields.octaves(rng(), 64)
    assert drawn.dtype == np.float32 and drawn.min() == 0 and drawn.max() == 1
    power = np.abs(np.fft.fft2(np.stack([fields.octaves(rng(seed), 64) for seed in range(20)]))) ** 2
    rows = power.mean(0)[0]
    assert rows[1:4].mean() > 10 * rows[8:16].mean() > 10 * rows[24:32].mean() > 0


@pytest.mark.parametrize("frequency", [3, 8, 20])
def test_a_grating_has_the_frequency_that_was_asked_for(frequency):
    for seed in range(6):
        wave = gratings.grating(rng(seed), 64, frequency)
        assert np.abs(wave).max() <= 1 and wave.std() > 0.6
        power = np.abs(np.fft.fft2(wave - wave.mean()))
        y, x = np.unravel_index(power.argmax(), power.shape)
        cycles = np.fft.fftfreq(64, 1 / 64)
        assert np.hypot(cycles[y], cycles[x]) == pytest.approx(frequency, abs=1)


def test_a_patch_is_a_bump_and_leaves_most_of_the_image():
    for seed in range(10):
        shown = gratings.window(rng(seed), 64)
        assert shown.min() >= 0 and 0.6 < shown.max() <= 1 and (shown < 0.01).mean() > 0.1


def test_curves_begin_and_end_where_they_should():
    ends = rng().uniform(size=(3, 4, 2))
    points = strokes.bezier(ends)
    assert points.shape == (3, strokes.POINTS, 2)
    assert np.allclose(points[:, 0], ends[:, 0]) and np.allclose(points[:, -1], ends[:, 3])
    straight = np.linspace([0, 0], [1, 1], 4)[None]
    assert np.allclose(strokes.bezier(straight)[0, :, 0], np.linspace(0, 1, strokes.POINTS))


def test_strokes_run_across_the_image_and_are_no_writing():
    ends = rng().uniform(-strokes.BEYOND, 1 + strokes.BEYOND, (2000, 4, 2))
    cut = np.any((ends < 0) | (ends > 1), axis=(1, 2))
    assert cut.mean() > 0.9


@pytest.mark.parametrize("draw_one", [shapes._ellipse, shapes._rectangle, shapes._polygon])
def test_a_shape_has_the_radius_that_was_drawn(draw_one):
    away = [np.linalg.norm(draw_one(rng(seed), 0.2), axis=1) for seed in range(20)]
    assert max(part.max() for part in away) <= 0.2 + 1e-9 and np.mean([part.max() for part in away]) > 0.15
