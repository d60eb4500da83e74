"""Pruning in steps, against a slow reference of the ranking and with a recovery between."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from unit.networks import BACKBONES, backbone_of, images_of

from prunetransfer.recovery.case import Case
from prunetransfer.recovery.reconstruct import reconstruct
from prunetransfer.recovery.steps import prune_in_steps

IMAGES = replace(images_of(24), labels=None)


def scores_of(backbone) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """½ w² h of the dense weights, and h, drawn at random."""
    generator = np.random.default_rng(0)
    weights = {name: weight.detach().numpy().astype(float) for name, weight in backbone.prunable().items()}
    curvature = {name: generator.exponential(size=w.shape) for name, w in weights.items()}
    return {name: 0.5 * weights[name] ** 2 * curvature[name] for name in weights}, curvature


def of_lowest(followed: list[tuple[float, str, int]], count: int) -> set[tuple[str, int]]:
    return {(name, place) for _, name, place in sorted(followed)[:count]}


@pytest.mark.parametrize("kind", BACKBONES)
@pytest.mark.parametrize("rounds", [2, 3])
def test_each_step_prunes_what_is_lowest_among_the_recovered_weights_that_are_left(kind, rounds):
    dense = backbone_of(kind).double()
    before = copy.deepcopy(dense.network.state_dict())
    scores, curvature = scores_of(dense)
    seen = []

    def recover(case: Case) -> None:
        seen.append({name: keep.numpy().copy() for name, keep in case.mask.items()})
        reconstruct(case, samples=24, positions=4)

    mask, pruned = prune_in_steps(dense, scores, 0.6, rounds, recover, IMAGES)
    assert len(seen) == rounds - 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in dense.network.state_dict().items())

    expected, total = copy.deepcopy(dense), sum(values.size for values in scores.values())
    gone: set[tuple[str, int]] = set()
    for k in range(1, rounds + 1):
        weights = {name: weight.detach().numpy().ravel() for name, weight in expected.prunable().items()}
        left = [
            (0.5 * weights[name][j] ** 2 * curvature[name].ravel()[j], name, j)
            for name in weights
            for j in range(len(weights[name]))
            if (name, j) not in gone
        ]
        count = round((1 - 0.4 ** (k / rounds)) * total)
        gone |= of_lowest(left, count - len(gone))
        keep = {name: np.ones(values.size, dtype=bool) for name, values in scores.items()}
        for name, j in gone:
            keep[name][j] = False
        keep = {name: flags.reshape(scores[name].shape) for name, flags in keep.items()}
        found = seen[k - 1] if k < rounds else mask
        assert all(np.array_equal(keep[name], found[name]) for name in keep)
        tensors = {name: torch.from_numpy(flags) for name, flags in keep.items()}
        expected.prune(tensors)
        if k < rounds:
            reconstruct(Case(expected, dense, tensors, None, IMAGES, 0), samples=24, positions=4)
    for name, tensor in expected.network.state_dict().items():
        assert torch.equal(tensor, pruned.network.state_dict()[name]), name


def test_what_recovery_makes_large_stays_and_what_it_makes_small_goes():
    dense = backbone_of()
    weight = dense.prunable()["fc.weight"]
    for tensor in dense.prunable().values():
        tensor.data.fill_(1.0)
    scores = {name: np.full(w.shape, 0.5) for name, w in dense.prunable().items()}
    scores["fc.weight"][0, 0] = 0.3  # goes second without a recovery between
    scores["fc.weight"][0, 1] = 0.4

    def recover(case: Case) -> None:
        recovered = case.backbone.prunable()["fc.weight"].data
        assert recovered[0, 0] == 0
        recovered[0, 1], recovered[0, 2] = 3.0, 0.1

    q = 2 / sum(w.numel() for w in dense.prunable().values())
    mask, pruned = prune_in_steps(dense, scores, q, 2, recover, IMAGES)
    gone = {(name, *map(int, place)) for name, keep in mask.items() for place in np.argwhere(~keep)}
    assert gone == {("fc.weight", 0, 0), ("fc.weight", 0, 2)}
    assert pruned.prunable()["fc.weight"][0, 1] == 3.0 and weight[0, 1] == 1.0


def test_a_kept_weight_that_became_zero_goes_after_those_that_are_pruned():
    dense = backbone_of()
    scores, _ = scores_of(dense)

    first: dict[str, np.ndarray] = {}

    def recover(case: Case) -> None:
        first.update({name: keep.numpy().copy() for name, keep in case.mask.items()})
        for w in case.backbone.prunable().values():
            w.data.zero_()

    mask, _ = prune_in_steps(dense, scores, 0.5, 2, recover, IMAGES)
    assert all((mask[name] <= first[name]).all() for name in mask)
    total = sum(keep.size for keep in mask.values())
    assert sum(np.count_nonzero(~keep) for keep in mask.values()) == round(0.5 * total)


def test_the_recovery_between_is_given_the_images_beside():
    dense = backbone_of()
    scores, _ = scores_of(dense)
    other = replace(IMAGES, images=255 - IMAGES.images)
    shown = []
    prune_in_steps(dense, scores, 0.5, 2, lambda case: shown.append(case.images(5)), IMAGES, 3, [other])
    assert shown[0].shape[0] == 10
    assert torch.equal(shown[0][5:], 255 - shown[0][:5])  # one seed draws the same places of each


def test_same_seed_same_weights():
    dense = backbone_of()
    scores, _ = scores_of(dense)
    again = [
        prune_in_steps(dense, scores, 0.7, 3, partial(reconstruct, samples=8), IMAGES, seed)[1].network.state_dict()
        for seed in (0, 0, 1)
    ]
    assert all(torch.equal(again[0][name], again[1][name]) for name in again[0])
    assert any(not torch.equal(again[0][name], again[2][name]) for name in again[0])
