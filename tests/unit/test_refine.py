"""Masks that are chosen anew layer by layer, against a plain ADMM in float64 and by what the layers then write."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor
from unit.networks import backbone_of, images_of
from unit.test_recoveries import assert_least_squares, mixed

from prunetransfer.models.backbones import extract_features
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.reconstruct import reconstruct
from prunetransfer.recovery.refine import EVERY, GROWTH, LEAST, MOST, RHO, chosen, refine
from prunetransfer.recovery.steps import prune_in_steps

IMAGES = replace(images_of(24), labels=None)
ALL = {"samples": 24, "positions": 1000, "ridge": 1e-3}


def plain_admm(gram: Tensor, wanted: Tensor, before: Tensor, keep: Tensor, penalty: float) -> np.ndarray:
    """One group, by inverses: the update of ALPS as its paper writes it."""
    c = len(gram)
    damped = (gram + penalty * torch.eye(c)).numpy()
    scale = np.sqrt(np.diag(damped))
    matrix = damped / np.outer(scale, scale)
    right = ((wanted + penalty * before).numpy() / scale).T
    d, v, rho = (before * keep).numpy().T * scale[:, None], np.zeros((c, len(before))), RHO
    last = keep.numpy().T
    for iteration in range(1, MOST + 1):
        b = np.linalg.solve(matrix + rho * np.eye(c), right - v + rho * d)
        order = np.argsort(-np.abs(b + v / rho), axis=None)[: int(keep.sum())]
        support = np.zeros(b.shape, dtype=bool)
        support.ravel()[order] = True
        d = (b + v / rho) * support
        v = v + rho * (b - d)
        if iteration % EVERY == 0:
            if iteration > LEAST and (support == last).all():
                break
            last, rho = support, GROWTH * rho
    return support.T


def problem(seed: int, groups: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Correlated inputs, and outputs of dense weights that are not exact."""
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    a = draw(groups, 60, 7) @ draw(groups, 7, 7)
    weight = draw(groups, 5, 7)
    y = a @ weight.mT + 0.1 * draw(groups, 60, 5)
    keep = weight.abs() > weight.abs().median()
    gram = a.mT @ a
    return gram, y.mT @ a, weight, keep, 0.01 * gram.diagonal(dim1=-2, dim2=-1).mean(-1)


def error(gram: Tensor, wanted: Tensor, keep: Tensor) -> float:
    """What least squares on the kept weights leaves, less a constant; the normal equations give it row by row."""
    total = 0.0
    for g, c, rows in zip(gram, wanted, keep, strict=True):
        for right, kept in zip(c, rows, strict=True):
            if kept.any():
                total -= float(right[kept] @ torch.linalg.solve(g[kept][:, kept], right[kept]))
    return total


@pytest.mark.parametrize("seed", range(4))
def test_the_weights_that_stay_are_those_of_plain_admm(seed):
    gram, wanted, before, keep, penalty = problem(seed)
    found = chosen(gram, wanted, before, keep, penalty)[0]
    expected = plain_admm(gram[0], wanted[0], before[0], keep[0], penalty[0].item())
    assert np.array_equal(found.numpy(), expected) and found.sum() == keep.sum()


def test_they_let_a_layer_write_what_the_dense_one_writes_better_than_the_largest_do():
    gains = []
    for seed in range(10):
        gram, wanted, before, keep, penalty = problem(seed, groups=2)
        found = chosen(gram, wanted, before, keep, penalty)
        assert found.sum() == keep.sum()
        gains.append(error(gram, wanted, keep) - error(gram, wanted, found))
    assert np.mean(gains) > 0 and min(gains) > -1e-9 * abs(error(gram, wanted, keep))


def test_inputs_that_are_always_zero_and_layers_with_nothing_to_choose_stay_as_they_are():
    gram, wanted, before, keep, penalty = problem(0)
    for all_or_none in (torch.ones_like(keep), torch.zeros_like(keep)):
        assert torch.equal(chosen(gram, wanted, before, all_or_none, penalty), all_or_none)
    dead = torch.zeros_like(gram)
    assert torch.equal(chosen(dead, torch.zeros_like(wanted), before, keep, torch.zeros_like(penalty)), keep)


@pytest.mark.parametrize("kind", ["conv", "vit", "mixed"])
def test_a_refined_backbone_has_as_many_weights_in_each_layer_solved_by_least_squares(kind):
    dense = (mixed() if kind == "mixed" else backbone_of(kind)).double()
    generator = torch.Generator().manual_seed(0)
    mask = {name: torch.rand(w.shape, generator=generator) < 0.5 for name, w in dense.prunable().items()}
    plainly, refined = copy.deepcopy(dense), copy.deepcopy(dense)
    plainly.prune(mask)
    reconstruct(Case(plainly, dense, mask, None, IMAGES, 0), **ALL)
    found = refine(Case(refined, dense, mask, None, IMAGES, 0), **ALL)
    assert any(not torch.equal(found[name], mask[name]) for name in mask)
    for name, weight in refined.prunable().items():
        assert found[name].shape == weight.shape and found[name].sum() == mask[name].sum()
        assert (weight[~found[name]] == 0).all() and weight.isfinite().all()
    before = {name: w.detach() for name, w in dense.prunable().items()}
    assert_least_squares(refined, dense, found, before, IMAGES.images)
    features = {name: extract_features(b, IMAGES.images) for name, b in (("plain", plainly), ("refined", refined))}
    target = extract_features(dense, IMAGES.images)
    errors = {name: (values - target).square().sum().item() for name, values in features.items()}
    assert errors["refined"] < errors["plain"]


def test_the_last_of_several_steps_is_refined():
    dense = backbone_of().double()
    weights = {name: w.detach().numpy() for name, w in dense.prunable().items()}
    scores = {name: 0.5 * w**2 for name, w in weights.items()}
    settings = {"recover": partial(reconstruct, **ALL), "train": IMAGES}
    mask, _ = prune_in_steps(dense, scores, 0.6, 2, **settings)
    refined, backbone = prune_in_steps(dense, scores, 0.6, 2, **settings, refine=partial(refine, **ALL))
    assert any(not np.array_equal(mask[name], refined[name]) for name in mask)
    for name, keep in refined.items():
        assert keep.sum() == mask[name].sum()
        assert (backbone.prunable()[name].detach().numpy()[~keep] == 0).all()
