"""Scores of whole units against loops over every weight and image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from unit.networks import images_of
from unit.structures import NETWORKS, image_of, structured

from prunetransfer.criteria.features import whitening
from prunetransfer.criteria.source import Source
from prunetransfer.curvature.gradients import layer_gradients
from prunetransfer.curvature.unit_increases import quadratic
from prunetransfer.datasets.splits import Split
from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone, extract_features
from prunetransfer.settings.registry import find, keywords, score
from prunetransfer.structure.dependencies import find_units
from prunetransfer.structure.units import Units, summed

KINDS = ["toy", "flattened", "toy groups", "vit"]


def split_of(name: str, count: int = 5) -> Split:
    size = NETWORKS[name][2]
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(256, (count, size, size, 3), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(count) % 3, images_of(1).classes)


def source_of(name: str) -> Source:
    backbone = structured(name)
    width = extract_features(backbone, split_of(name).images).shape[1]
    generator = torch.Generator().manual_seed(4)
    weight = torch.randn(width, 3, generator=generator, dtype=torch.float64)
    return Source(backbone, Head(weight, torch.zeros(3, dtype=torch.float64), 1.0), split_of(name), 0, image_of(name))


def weights_in(units: Units) -> list[list[dict[str, np.ndarray]]]:
    """For each family and unit: name → bool array, True on the unit's weights."""
    found = []
    for family in units.families:
        own = []
        for unit in range(len(family)):
            inside: dict[str, np.ndarray] = {}
            for (name, axis), indices in family.members.items():
                marks = inside.setdefault(name, np.zeros(units.shapes[name], dtype=bool))
                for index in indices[unit]:
                    marks[(slice(None),) * axis + (index,)] = True
            own.append(inside)
        found.append(own)
    return found


def images_gradients(backbone: Backbone, head: Head, split: Split, vectors) -> list[dict[str, np.ndarray]]:
    """The gradients of each image and each of its vectors, by ordinary backward passes in order."""
    weights = backbone.prunable()
    found = []
    for place in range(len(split.labels)):
        outputs = head(backbone(split.images[place : place + 1]))
        for v in vectors(outputs.detach(), split.labels[place : place + 1]):
            rows = torch.autograd.grad(outputs, list(weights.values()), v, retain_graph=True)
            found.append({name: row.numpy() for name, row in zip(weights, rows, strict=True)})
    return found


@pytest.mark.parametrize("name", KINDS)
def test_sums_count_each_weight_of_a_unit_once(name):
    units = find_units(structured(name), image_of(name))
    draws = np.random.default_rng(0)
    scores = {weight: draws.random(shape).astype(np.float32) for weight, shape in units.shapes.items()}
    found = summed(units, scores)
    assert all(values.dtype == np.float64 for values in found)
    for values, own in zip(found, weights_in(units), strict=True):
        expected = [
            sum(scores[weight][marks].sum(dtype=np.float64) for weight, marks in inside.items()) for inside in own
        ]
        np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("draws", [1, 2])
def test_the_quadratic_form_is_that_of_all_weights_of_a_unit(name, draws):
    source = source_of(name)
    backbone, split = source.backbone, source.train
    units = find_units(backbone, image_of(name))
    directions = torch.randn(draws, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def vectors(outputs, labels):
        yield from (outputs * direction for direction in directions)

    gradients = layer_gradients(backbone, source.head, split.images, split.labels, vectors)
    found = quadratic(units, source.weights(), gradients, len(split.labels), damping=0.7)
    rows = images_gradients(backbone, source.head, split, vectors)
    weights = {weight: w.numpy() for weight, w in source.weights().items()}
    for values, own in zip(found, weights_in(units), strict=True):
        for value, inside in zip(values, own, strict=True):
            w = np.concatenate([weights[weight][marks] for weight, marks in inside.items()])
            g = np.stack([np.concatenate([row[weight][marks] for weight, marks in inside.items()]) for row in rows])
            assert value == pytest.approx(0.5 * ((g @ w) ** 2).sum() / 5 + 0.5 * 0.7 * w @ w, rel=1e-6)


def test_images_in_parts_give_the_same(monkeypatch):
    source = source_of("toy")
    units = find_units(source.backbone, image_of("toy"))

    def unit_increases():
        gradients = source.gradients(source.train, "squared", "empirical", None)
        return quadratic(units, source.weights(), gradients, 5, damping=0.0)

    whole = unit_increases()
    monkeypatch.setattr("prunetransfer.layers.rules.AT_ONCE", {"cpu": 1})
    for one, other in zip(unit_increases(), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize("settings", [{}, {"damping": 0.5}, {"relative": 1.0, "loss": "cross_entropy"}], ids=str)
def test_block_scores_units_with_the_damping_of_its_weights(settings):
    of_weights, of_units = source_of("toy"), source_of("toy")
    units = find_units(of_units.backbone, image_of("toy"))
    entry = find("scores", "block")
    found = entry.units(of_units, units, samples=4, **settings)
    entry.function(of_weights, samples=4, **settings)
    assert of_units.record == of_weights.record and of_units.record["damping"] > 0
    drawn = of_units.draw(4, "balanced")
    gradients = of_units.gradients(drawn, settings.get("loss", "squared"), "empirical", None)
    expected = quadratic(units, of_units.weights(), gradients, len(drawn.labels), of_units.record["damping"])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("whiten", [False, True])
def test_features_score_units_by_how_far_all_features_move(whiten):
    of_weights, of_units = source_of("toy"), source_of("toy")
    units = find_units(of_units.backbone, image_of("toy"))
    entry, settings = find("scores", "features"), {"samples": 4, "draws": 3, "whiten": whiten}
    found = entry.units(of_units, units, **settings)
    entry.function(of_weights, **settings)
    assert of_units.record == of_weights.record and of_units.record["damping"] > 0
    drawn = of_units.draw(4)
    phi = extract_features(of_units.backbone, drawn.images)
    matrix = whitening(phi) if whiten else torch.eye(6, dtype=torch.float64)
    head = Head(matrix, phi.new_zeros(6), None)
    gradients = of_units.gradients(drawn, "squared", "fisher", 3, head=head)
    expected = quadratic(units, of_units.weights(), gradients, 4, of_units.record["damping"])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_a_group_form_takes_the_settings_of_its_score():
    for name in ("block", "features"):
        entry = find("scores", name)
        assert entry.needs["units"] is True
        assert keywords(entry.units) == keywords(entry.function)
    assert find("scores", "magnitude").needs["units"] is False and find("scores", "magnitude").units is None

    def other(source, units, *, samples: int = 1): ...

    with pytest.raises(ValueError, match="other and mine must have the same settings"):

        @score(sees=None, units=other)
        def mine(source, *, samples: int = 2): ...
