"""Pruning in one call: the same numbers as the study's stages, whatever the score, the mask and the recovery."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor
from torch.utils.data import TensorDataset
from unit.networks import BACKBONES, SIZE, backbone_of, images_of
from unit.small import AT_ONCE, INPUTS, LABELS, MODEL, same, weights_of, zeros

from prunetransfer import prune
from prunetransfer.criteria.features import features
from prunetransfer.criteria.magnitude import magnitude
from prunetransfer.criteria.source import Source
from prunetransfer.deploy.inputs import unlabelled
from prunetransfer.deploy.model import Model
from prunetransfer.deploy.recipe import Material, Recipe, made, ranking_of
from prunetransfer.pruning.apply import mask_tensors
from prunetransfer.pruning.making import make_mask
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.reconstruct import reconstruct

PAGE = Path(__file__).parents[2] / "docs/python.md"
IMAGES = images_of(24)


@pytest.mark.parametrize("kind", BACKBONES)
def test_the_same_mask_and_weights_as_of_the_study(kind):
    """What the stages do to prepared images, the call does to pixels, bit for bit."""
    dense = backbone_of(kind)
    source = Source(dense, None, IMAGES, 0, (3, SIZE, SIZE))
    scores = {name: values.numpy() for name, values in features(source, samples=16).items()}
    mask = make_mask(Ranking(scores), 0.5)
    pruned, keep = copy.deepcopy(dense), mask_tensors(mask, dense.device)
    pruned.prune(keep)
    reconstruct(Case(pruned, dense, keep, None, IMAGES, 0), samples=16)
    mean, std = dense.mean.flatten().tolist(), dense.std.flatten().tolist()
    found = prune(dense.network, 0.5, IMAGES.images, samples=16, procedural=0, mean=mean, std=std, **AT_ONCE)
    assert found.state_dict().keys() == pruned.network.state_dict().keys()
    assert same(found, pruned.network)


def test_the_model_stays_as_it_is():
    MODEL.neck.weight.requires_grad_(False)
    before = copy.deepcopy(MODEL)
    small = prune(MODEL, 0.5, INPUTS)
    assert same(MODEL, before)
    assert MODEL.training and not small.training
    assert not MODEL.neck.weight.requires_grad and MODEL.fc.weight.requires_grad
    assert [p.requires_grad for p in small.parameters()] == [p.requires_grad for p in MODEL.parameters()]
    MODEL.neck.weight.requires_grad_(True)


def test_so_many_weights_go_and_the_classifier_stays():
    everything = prune(MODEL, 0.3, INPUTS)
    total = sum(tensor.numel() for tensor in weights_of(MODEL).values())
    assert zeros(everything, *weights_of(MODEL)) == round(0.3 * total)
    but_fc = prune(MODEL, 0.3, INPUTS, classifier="fc")
    assert but_fc.fc.weight.equal(MODEL.fc.weight)
    assert zeros(but_fc, *weights_of(MODEL)) == round(0.3 * (total - MODEL.fc.weight.numel()))
    but_two = prune(MODEL, 0.3, INPUTS, classifier="fc", exclude=["neck.*"])
    assert zeros(but_two, "neck.weight", "fc.weight") == 0


def test_more_is_kept_than_by_magnitude_alone():
    inputs = torch.randn(64, 3, 12, 12)
    images, unseen = inputs[:32], inputs[32:]
    expected = MODEL.eval()(unseen)
    MODEL.train()
    bare = prune(MODEL, 0.6, images, score="magnitude", rounds=1, recovery=None)
    kept = prune(MODEL, 0.6, images)
    lost = [(model(unseen) - expected).norm().item() for model in (bare, kept)]
    assert lost[1] < 0.7 * lost[0]


def test_the_parts_make_the_whole():
    scores = prune.scores(MODEL, INPUTS)
    masks = prune.masks(scores, 0.5)
    assert same(prune.recovered(MODEL, masks, INPUTS), prune(MODEL, 0.5, INPUTS, **AT_ONCE))
    assert {name: values.shape for name, values in scores.items()} == {n: w.shape for n, w in weights_of(MODEL).items()}
    bare = prune.recovered(MODEL, masks, INPUTS, recovery=None)
    assert all((weights_of(bare)[name] != 0).equal(keep) for name, keep in masks.items())


def test_labels_and_heads_for_what_reads_them():
    given = {"labels": LABELS, "rounds": 1, "recovery": "compensate"}
    of_tensor = prune(MODEL, 0.5, INPUTS, score="block", classifier="fc", **given)
    of_dataset = prune(
        MODEL, 0.5, TensorDataset(INPUTS, LABELS), score="block", classifier="fc", rounds=1, recovery="compensate"
    )
    assert same(of_tensor, of_dataset)
    fitted = prune(MODEL, 0.5, INPUTS, score="block", **given)  # no classifier is named: a ridge head on the outputs
    assert not same(of_tensor, fitted)


def test_functions_of_one_s_own():
    seen = []

    def mine(case: Case) -> None:
        seen.append(case.images(4).shape)

    small = prune(MODEL, 0.5, INPUTS, score=partial(features, relative=1e6), rounds=1, recovery=None)
    by_size = prune(MODEL, 0.5, INPUTS, score=magnitude, rounds=1, recovery=None)
    assert same(small, by_size)  # λ outweighs all curvature

    def with_labels(source: Source) -> dict[str, Tensor]:
        seen.append(source.head.weight.shape)
        return {name: weight.abs() for name, weight in source.weights().items()}

    prune(MODEL, 0.5, INPUTS, labels=LABELS, score=with_labels, rounds=1, recovery=mine, classifier="fc")
    assert seen == [(6, 5), (4, 3, 12, 12)]


def test_convolutions_compute_as_in_a_study_and_as_before_afterwards(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen = []

    def watched(source: Source) -> dict[str, Tensor]:
        seen.append(torch.backends.cudnn.allow_tf32)
        return magnitude(source)

    prune(MODEL, 0.5, INPUTS, score=watched, rounds=1, recovery=None, labels=LABELS)
    prune.scores(MODEL, INPUTS, score=watched, labels=LABELS)
    assert seen == [False, False]
    assert torch.backends.cudnn.allow_tf32


def test_a_model_without_whole_channels_is_smaller_and_says_the_same():
    """As the masked model, which has all of its channels, of any batch; the width of the features stays."""
    torch.manual_seed(0)
    model = timm.create_model("resnet18", layers=[1, 1, 1, 1], channels=[16, 32, 32, 32], num_classes=7)
    images, wanted = torch.randn(24, 3, 32, 32), {"pattern": "channels", "budget": "multiply_adds"}
    small = prune(model, 0.4, images, mask=wanted, procedural=0)
    assert type(small) is type(model) and small.fc.weight.equal(model.fc.weight)
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in (small, model)]
    assert sizes[0] < 0.9 * sizes[1]
    material = Material(Model.of(model, None).backbone(images, (), torch.device("cpu")), unlabelled(images))
    recipe = Recipe(mask=wanted)
    assert (recipe.rounds, recipe.recovery) == (1, "reconstruct")
    _, masked = made(material, recipe, ranking_of(material, recipe), 0.4)
    for batch in (images, images[:1]):
        expected = model.fc(masked(batch))
        torch.testing.assert_close(small(batch), expected, rtol=1e-4, atol=1e-5)


def test_two_of_four_and_layer_budgets():
    small = prune(MODEL, 0.5, INPUTS, mask="2:4")
    assert (small.body[2].weight != 0).unflatten(1, (2, 4)).sum(2).max() == 2 and (small.body[0].weight != 0).all()
    erk = prune(MODEL, 0.5, INPUTS, mask={"allocation": "erk"}, **AT_ONCE)
    at_once = prune(MODEL, 0.5, INPUTS, **AT_ONCE)
    layers = ("body.0.weight", "body.2.weight", "neck.weight")
    assert zeros(erk, *layers) >= 420  # of 840; a unit that is always zero leaves more
    assert zeros(erk, "neck.weight") < zeros(at_once, "neck.weight")


def test_the_package_alone_imports_no_torch():
    code = "import sys, prunetransfer; assert 'torch' not in sys.modules; assert callable(prunetransfer.prune)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_page_s_examples_run():
    names: dict = {}
    for code in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        exec(compile(code, "docs/python.md", "exec"), names)
    kept = sum(int(keep.sum()) for keep in names["masks"].values())
    assert kept == round(0.5 * sum(keep.numel() for keep in names["masks"].values()))
