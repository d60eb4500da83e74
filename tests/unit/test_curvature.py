"""Per-sample gradients, curvature and scores against brute force: one backward pass an image, explicit inverses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from unit.networks import BACKBONES, CLASSES, backbone_of, head_of, images_of, state_of, weights_of

from prunetransfer.criteria.source import Source
from prunetransfer.curvature import blocks, gradients
from prunetransfer.curvature.diagonal import damping_of, mean_squares
from prunetransfer.datasets.splits import Split, balanced_subset
from prunetransfer.heads import Head
from prunetransfer.heads.losses import LOSSES
from prunetransfer.models.backbones import Backbone
from prunetransfer.pruning.masks import global_mask
from prunetransfer.settings.registry import find

# torch computes a ViT's attention image after image under vmap, and says so each time.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")

IMAGES = images_of(7)  # with chunks of 3 the last holds one image
BLOCK = 7  # shorter blocks end every layer of the conv net
DAMPING = 1e-2
RELATIVE = 0.1
# Those that `explicit_scores` has a formula of, each with the settings that its formula knows.
SCORES: dict[str, dict[str, Any]] = {
    "magnitude": {},
    "diagonal": {},
    "damped": {"relative": RELATIVE},
    "block": {"block_size": BLOCK, "damping": DAMPING},
}

Tensors = dict[str, Tensor]


def one_by_one(backbone: Backbone, head: Head, split: Split, loss: str) -> Tensors:
    """Gradients [m, *layer shape] by one ordinary backward pass an image, with the losses written out."""
    weights = backbone.prunable()
    rows = []
    for image, label in zip(split.images, split.labels, strict=True):
        outputs = (backbone(image[None]) @ head.weight + head.bias)[0]
        target = torch.eye(CLASSES, dtype=outputs.dtype)[label]
        if loss == "squared":
            value = 0.5 * ((outputs - target) ** 2).sum()
        else:
            value = outputs.exp().sum().log() - outputs[label]
        rows.append(torch.autograd.grad(value, list(weights.values())))
    return {name: torch.stack(column) for name, column in zip(weights, zip(*rows, strict=True), strict=True)}


def explicit_scores(weights: Tensors, rows: Tensors, block_size: int, damping: float) -> dict[str, Tensors]:
    """The SCORES by their formulas, in float64, block after block."""
    found: dict[str, Tensors] = {name: {} for name in SCORES}
    median = median_of(torch.cat([row.double().square().mean(0).flatten() for row in rows.values()]))
    for name, weight in weights.items():
        w, g = weight.double().reshape(-1), rows[name].double().reshape(len(rows[name]), -1)
        increases = []
        for start in range(0, len(w), block_size):
            part = g[:, start : start + block_size]
            fisher = sum(torch.outer(row, row) for row in part) / len(part)
            inverse = torch.linalg.inv(fisher + damping * torch.eye(len(fisher), dtype=torch.float64))
            increases.append(0.5 * w[start : start + block_size] ** 2 / inverse.diagonal())
        found["magnitude"][name] = (w**2 / 2).view(weight.shape)
        found["diagonal"][name] = (w**2 / 2 * (g**2).mean(0)).view(weight.shape)
        found["damped"][name] = (w**2 / 2 * ((g**2).mean(0) + RELATIVE * median)).view(weight.shape)
        found["block"][name] = torch.cat(increases).view(weight.shape)
    return found


def median_of(curvature: Tensor) -> float:
    """The middle one of those above 0, or the lower of the two in the middle."""
    above = sorted(value for value in curvature.tolist() if value > 0)
    return above[(len(above) - 1) // 2]


def computed_scores(score: str, backbone: Backbone, head: Head, split: Split, loss: str, **settings: Any) -> Tensors:
    """A score as the stage computes it, on all images of `split`; settings: others than those of SCORES."""
    registered = find("scores", score)
    settings = SCORES[score] | settings
    if registered.needs["sees"]:
        settings |= {"loss": loss, "samples": len(split.labels)}
    return registered.function(Source(backbone, head, split), **settings)


def computed_diagonal(backbone: Backbone, head: Head) -> Tensors:
    """F_jj of the squared loss on all of IMAGES."""
    return mean_squares(Source(backbone, head).gradients(IMAGES, "squared", "empirical", None), len(IMAGES.labels))


def assert_same(found: Tensors, expected: Tensors, tolerance: float) -> None:
    """Equal up to `tolerance` times each layer's largest number."""
    assert list(found) == list(expected)
    for name, values in expected.items():
        largest = values.abs().max().item()
        torch.testing.assert_close(
            found[name].double(),
            values.double(),
            rtol=tolerance,
            atol=tolerance * largest,
            msg=lambda m, n=name: f"{n}: {m}",
        )


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Several chunks of images and several batches of blocks, as a real backbone has them."""
    monkeypatch.setattr(gradients, "IMAGES_AT_ONCE", 3)
    monkeypatch.setattr(blocks, "BLOCKS_AT_ONCE", {"cpu": 4})


@pytest.fixture(params=BACKBONES)
def backbone(request) -> Backbone:
    return backbone_of(request.param).double()


# --- per-sample gradients ---------------------------------------------------------------------------------------------


def per_sample(backbone: Backbone, head: Head, split: Split, loss: str) -> list[Tensors]:
    seeds = gradients.loss_gradient(LOSSES[loss])
    batches = gradients.layer_gradients(backbone, head, split.images, split.labels, seeds)
    return [{name: g.materialise() for name, g in batch.items()} for batch in batches]


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_those_of_each_image_alone(backbone, loss):
    head = head_of(backbone)
    before = state_of(backbone)
    batches = per_sample(backbone.train(), head, IMAGES, loss)
    expected = one_by_one(backbone.eval(), head, IMAGES, loss)
    assert [len(next(iter(batch.values()))) for batch in batches] == [3, 3, 1]
    assert_same({name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}, expected, 1e-12)
    assert all(values.abs().max() > 1e-4 for values in expected.values())  # a vanished gradient would prove nothing
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.network.state_dict().items())
    assert all(parameter.grad is None for parameter in backbone.parameters())


@pytest.mark.parametrize("kind", BACKBONES)
def test_float32_gradients_are_close(kind):
    backbone = backbone_of(kind)
    batches = per_sample(backbone, head_of(backbone), IMAGES, "squared")
    found = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    assert all(values.dtype == torch.float32 for values in found.values())
    backbone = backbone.double()
    assert_same(found, one_by_one(backbone, head_of(backbone), IMAGES, "squared"), 1e-5)


def test_a_batch_keeps_to_its_bytes(monkeypatch):
    backbone = backbone_of("conv")
    # inputs and outputs of conv1, conv2 and fc
    bytes_an_image = 4 * (3 * 8 * 8 + 4 * 4 * 4 + 4 * 4 * 4 + 6 * 2 * 2 + 6 + 5)
    for budget, size in ((0, 1), (3 * bytes_an_image - 1, 2), (100 * bytes_an_image, 3)):
        monkeypatch.setattr(gradients, "BATCH_BYTES", budget)
        first, *_ = per_sample(backbone, head_of(backbone), IMAGES, "squared")
        assert len(first["conv1.weight"]) == size


def test_excluded_weights_have_no_gradient():
    backbone = backbone_of("conv")
    backbone.exclude = ("conv1*",)
    (batch, *_) = per_sample(backbone, head_of(backbone), IMAGES, "squared")
    assert list(batch) == ["conv2.weight", "fc.weight"]


# --- scores -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("score", SCORES)
def test_scores_are_their_formulas(backbone, score, loss):
    head = head_of(backbone)
    found = computed_scores(score, backbone, head, IMAGES, loss)
    expected = explicit_scores(weights_of(backbone), one_by_one(backbone, head, IMAGES, loss), BLOCK, DAMPING)
    assert_same(found, expected[score], 1e-6)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("kind", BACKBONES)
def test_float32_scores_are_close(kind, score):
    backbone = backbone_of(kind)
    found = computed_scores(score, backbone, head_of(backbone), IMAGES, "squared")
    assert all(values.dtype == torch.float32 and (values >= 0).all() for values in found.values())
    double = backbone.double()
    rows = one_by_one(double, head_of(double), IMAGES, "squared")
    assert_same(found, explicit_scores(weights_of(double), rows, BLOCK, DAMPING)[score], 1e-3)


@pytest.mark.parametrize("block_size", [1, 4, 64, 1000])
@pytest.mark.parametrize("damping", [1e-3, 1.0])
def test_block_with_any_block_size_and_damping(block_size, damping):
    backbone = backbone_of("conv").double()
    head = head_of(backbone)
    found = computed_scores("block", backbone, head, IMAGES, "squared", block_size=block_size, damping=damping)
    rows = one_by_one(backbone, head, IMAGES, "squared")
    assert_same(found, explicit_scores(weights_of(backbone), rows, block_size, damping)["block"], 1e-6)


def test_blocks_of_one_weight_give_the_damped_diagonal(backbone):
    head = head_of(backbone)
    found = computed_scores("block", backbone, head, IMAGES, "squared", block_size=1)
    fisher = computed_diagonal(backbone, head)
    expected = {name: 0.5 * w.square() * (DAMPING + fisher[name]) for name, w in weights_of(backbone).items()}
    assert_same(found, expected, 1e-6)
    relative = {"block_size": 1, "damping": None, "relative": RELATIVE}
    found = computed_scores("block", backbone, head, IMAGES, "squared", **relative)
    assert_same(found, computed_scores("damped", backbone, head, IMAGES, "squared"), 1e-6)


def test_relative_damping_is_a_multiple_of_the_median_over_all_weights(backbone):
    head = head_of(backbone)
    rows = one_by_one(backbone, head, IMAGES, "squared")
    median = median_of(torch.cat([row.square().mean(0).flatten() for row in rows.values()]))
    assert damping_of(computed_diagonal(backbone, head), RELATIVE) == pytest.approx(RELATIVE * median, rel=1e-10)


def test_weights_without_curvature_have_no_part_in_the_damping():
    curvature = {"dead": torch.zeros(7), "alive": torch.tensor([4.0, 1.0, 2.0])}
    assert damping_of(curvature, 0.5) == 1.0
    with pytest.raises(ValueError, match="not finite"):
        damping_of(curvature | {"broken": torch.tensor([float("inf")])}, 0.5)


@pytest.mark.filterwarnings("ignore:gradients image by image")  # which vanish, so nothing proves the fast rules
@pytest.mark.parametrize("score", ["damped", "block"])
def test_damping_relative_to_nothing_is_refused(score):
    backbone = backbone_of("conv").double()
    backbone.network.fc.weight.data.zero_()  # no gradient reaches the weights before it, and it is not prunable
    backbone.exclude = ("fc*",)
    settings = {"damping": None} if score == "block" else {}
    with pytest.raises(ValueError, match="the curvature of the backbone is zero, so no damping can be relative"):
        computed_scores(score, backbone, head_of(backbone), IMAGES, "squared", **settings)


def test_with_growing_damping_block_orders_as_magnitude_does(backbone):
    head = head_of(backbone)
    by_size = global_mask({name: 0.5 * w.square().numpy() for name, w in weights_of(backbone).items()}, 0.5)

    def differing(damping: float) -> int:
        scores = computed_scores("block", backbone, head, IMAGES, "squared", damping=damping)
        mask = global_mask({name: values.numpy() for name, values in scores.items()}, 0.5)
        return sum(int((mask[name] != keep).sum()) for name, keep in by_size.items())

    assert differing(1e10) == 0
    assert differing(1e-4) > differing(10.0) > 0


def test_curvature_is_not_that_of_the_mean_gradient(backbone):
    head = head_of(backbone)
    found = computed_diagonal(backbone, head)
    rows = one_by_one(backbone, head, IMAGES, "squared")
    of_the_mean = {name: row.mean(0).square() for name, row in rows.items()}
    assert_same(found, {name: row.square().mean(0) for name, row in rows.items()}, 1e-6)
    assert all((found[name] > 1.5 * values).float().mean() > 0.5 for name, values in of_the_mean.items())


@pytest.mark.parametrize("score", ["diagonal", "block"])
def test_images_are_drawn_balanced_and_by_seed(score):
    backbone = backbone_of("conv").double()
    head = head_of(backbone)
    split = images_of(30)
    in_order = split.labels.argsort(stable=True)  # sorted by class: the first images are all of one
    split = Split(split.images[in_order], split.labels[in_order], split.classes)

    def compute(seed: int, of: Split = split, samples: int = 6) -> Tensors:
        settings = SCORES[score] | {"sampling": "balanced", "samples": samples}
        return find("scores", score).function(Source(backbone, head, of, seed), **settings)

    chosen = balanced_subset(split.labels, 6, seed=1)
    assert split.labels[chosen].bincount().tolist() == [2, 2, 2]
    assert_same(compute(1), compute(0, of=Split(split.images[chosen], split.labels[chosen], split.classes)), 1e-6)
    assert not torch.allclose(compute(0)["fc.weight"], compute(1)["fc.weight"], rtol=1e-3)
    assert_same(compute(0, samples=1000), compute(1, samples=30), 1e-6)


def test_a_score_says_what_it_sees_of_the_source():
    seen = {name: find("scores", name).needs["sees"] for name in (*SCORES, "features")}
    assert seen == {
        **{"magnitude": None, "features": "images"},
        **{"diagonal": "labels", "damped": "labels", "block": "labels"},
    }
