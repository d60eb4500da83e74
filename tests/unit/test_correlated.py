"""Greedy removals inside blocks against Optimal Brain Surgeon with H inverted anew at every step, in float64."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from unit import reference
from unit.networks import BACKBONES, backbone_of, head_of, images_of
from unit.test_architectures import FAMILIES, network_of

from prunetransfer.criteria.block import block
from prunetransfer.criteria.correlated import correlated
from prunetransfer.criteria.damped import damped
from prunetransfer.criteria.source import Source
from prunetransfer.curvature import blocks, gradients
from prunetransfer.curvature.blocks import LayerBlocks, NotPositiveDefinite
from prunetransfer.curvature.removals import greedy_costs
from prunetransfer.datasets.splits import Split

# torch computes a ViT's attention image after image under vmap, and says so each time.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")

COUNT, DAMPING = 7, 1e-2

Tensors = dict[str, Tensor]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Several batches of images and several batches of blocks, as a real backbone has them."""
    monkeypatch.setattr(gradients, "IMAGES_AT_ONCE", 3)
    monkeypatch.setattr(blocks, "BLOCKS_AT_ONCE", {"cpu": 4})


def source_of(kind: str, dtype: torch.dtype = torch.float64) -> Source:
    backbone = backbone_of(kind).to(dtype)
    return Source(backbone, head_of(backbone), images_of(COUNT))


def removals(h: Tensor, w: Tensor) -> tuple[list[int], list[float]]:
    """The order of the removals and the ρ of each: of what is left, H is inverted at each step."""
    left, w, order, costs = list(range(len(w))), w.clone(), [], []
    while left:
        inverse = torch.linalg.inv(h[left][:, left])
        rho = w[left].square() / 2 / inverse.diagonal()
        k = int(rho.argmin())
        order.append(left[k])
        costs.append(rho[k].item())
        w[left] -= w[left[k]] / inverse[k, k] * inverse[:, k]
        del left[k]
    return order, costs


def explicit(h: Tensor, w: Tensor) -> Tensor:
    """Running maxima of the costs, each at the weight that was removed."""
    order, costs = removals(h, w)
    return torch.empty_like(w).index_copy_(0, torch.tensor(order), torch.tensor(costs).to(w).cummax(0).values)


def explicit_scores(source: Source, block_size: int, damping: float) -> Tensors:
    batches = source.gradients(source.draw(COUNT), "squared", "empirical", None)
    rows: dict[str, list[Tensor]] = {}
    for batch in batches:
        for name, g in batch.items():
            rows.setdefault(name, []).append(g.materialise().double().flatten(1))
    scores = {}
    for name, w in source.weights().items():
        g, costs = torch.cat(rows[name]), []
        for part, w_b in zip(g.split(block_size, 1), w.double().flatten().split(block_size), strict=True):
            h = part.T @ part / COUNT + damping * torch.eye(part.shape[1]).to(part)
            costs.append(explicit(h, w_b))
        scores[name] = torch.cat(costs).view(w.shape)
    return scores


def assert_close(found: Tensors, expected: Tensors, tolerance: float) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        torch.testing.assert_close(found[name].double(), values, rtol=tolerance, atol=1e-30, msg=name)


def problem(size: int = 9, seed: int = 0) -> tuple[Tensor, Tensor]:
    """H, positive definite and strongly correlated, and w."""
    generator = torch.Generator().manual_seed(seed)
    g = torch.randn(4, size, generator=generator, dtype=torch.float64)
    return g.T @ g / 4 + 0.05 * torch.eye(size).double(), torch.randn(size, generator=generator, dtype=torch.float64)


# --- removals ---------------------------------------------------------------------------------------------------------


def test_costs_are_those_of_inverting_anew_what_is_left():
    problems = [problem(seed=seed) for seed in range(6)]
    found = greedy_costs(torch.stack([torch.linalg.inv(h) for h, _ in problems]), torch.stack([w for _, w in problems]))
    for costs, (h, w) in zip(found, problems, strict=True):
        torch.testing.assert_close(costs.double(), explicit(h, w), rtol=1e-6, atol=0)


def test_the_order_of_the_removals_can_be_read_where_a_later_one_costs_less():
    falling = 0
    for seed in range(20):
        h, w = problem(seed=seed)
        order, costs = removals(h, w)
        falling += any(b < a for a, b in itertools.pairwise(costs))
        (found,) = greedy_costs(torch.linalg.inv(h)[None], w.clone()[None])
        assert found.argsort().tolist() == order
        assert found.unique().numel() == len(w)
    assert falling > 3


def test_removals_add_up_to_what_removing_all_at_once_costs():
    h, w = problem()
    _, costs = removals(h, w)
    assert sum(costs) == pytest.approx((w @ h @ w / 2).item())


def test_of_equal_costs_the_first_goes_first():
    (found,) = greedy_costs(torch.eye(5).double()[None], torch.ones(1, 5).double())
    assert found.argsort().tolist() == [0, 1, 2, 3, 4]


def test_of_two_weights_that_do_the_same_the_second_is_dear():
    h = torch.ones(2, 2).double() + 1e-6 * torch.eye(2)
    (found,) = greedy_costs(torch.linalg.inv(h)[None], torch.ones(1, 2).double())
    assert found[0] < 1e-6 < 1.9 < found[1]


@pytest.mark.parametrize("inverse", [torch.diag(torch.tensor([1.0, -1.0])), torch.zeros(2, 2)], ids=["below", "zero"])
def test_an_inverse_that_is_not_positive_has_no_cost(inverse):
    assert greedy_costs(inverse.double()[None], torch.ones(1, 2).double()).isnan().any()


def test_what_fills_the_last_block_is_no_weight():
    torch.manual_seed(0)
    rows, w = torch.randn(6, 10).double(), torch.randn(10).double()
    layer = LayerBlocks(slice(0, 10), 8)
    layer.add(rows)
    h = rows[:, 8:].T @ rows[:, 8:] / 6 + 1e-3 * torch.eye(2)
    torch.testing.assert_close(layer.removal_costs(6, 1e-3, w)[8:].double(), explicit(h, w[8:]), rtol=1e-6, atol=0)


# --- scores -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_size", [1, 5, 7, 16, 500])  # fewer rows than a block, and more; more than any layer
@pytest.mark.parametrize("kind", BACKBONES)
def test_scores_are_their_formula(kind, block_size):
    source = source_of(kind)
    found = correlated(source, damping=DAMPING, block_size=block_size, samples=COUNT)
    assert_close(found, explicit_scores(source, block_size, DAMPING), 1e-5)


def test_memory_changes_no_score():
    source = source_of("conv")
    whole = correlated(source, damping=DAMPING, block_size=5, samples=COUNT)
    parts = correlated(source, damping=DAMPING, block_size=5, samples=COUNT, memory_budget=4e-6 * 25 * 3)
    assert_close(parts, {name: values.double() for name, values in whole.items()}, 1e-6)


@pytest.mark.parametrize("kind", BACKBONES)
def test_float32_scores_are_close(kind):
    found = correlated(source_of(kind, torch.float32), block_size=7, samples=COUNT)
    expected = correlated(source_of(kind), block_size=7, samples=COUNT)
    assert all(values.dtype == torch.float32 for values in found.values())
    for name, values in expected.items():  # two ρ that nearly tie may change places: few weights may differ
        close = torch.isclose(found[name], values, rtol=1e-3, atol=0)
        assert close.float().mean() > 0.99, name


def test_blocks_of_one_weight_are_damped():
    source = source_of("conv")
    found = correlated(source, block_size=1, samples=COUNT)
    assert_close(found, damped(source, samples=COUNT), 1e-6)


def test_the_first_removal_of_a_block_is_that_of_block():
    source = source_of("conv")
    found, single = (
        score(source, damping=DAMPING, block_size=9, samples=COUNT)["conv1.weight"].double().view(-1, 9)
        for score in (correlated, block)
    )
    assert torch.equal(found.argmin(1), single.argmin(1))
    torch.testing.assert_close(found.amin(1), single.amin(1), rtol=1e-6, atol=0)
    assert (found.sum(1) > 1.5 * single.sum(1)).any()


def test_too_little_damping_names_the_layer(monkeypatch):
    source = source_of("conv")

    def refused(*_):
        raise NotPositiveDefinite("F + λI is not positive definite")

    monkeypatch.setattr(LayerBlocks, "removal_costs", refused)
    with pytest.raises(ValueError, match="block curvature of conv1"):
        correlated(source, damping=DAMPING, samples=COUNT)


@pytest.mark.parametrize("damping", [1e-30, -1.0])
def test_a_matrix_that_is_not_positive_definite_is_refused(damping):
    layer = LayerBlocks(slice(0, 6), 4)
    layer.add(torch.ones(5, 6))
    with pytest.raises(NotPositiveDefinite, match="raise damping"):
        layer.removal_costs(5, damping, torch.ones(6))


@pytest.mark.parametrize("name", ["resnext", "vit"])
def test_real_layouts(name):
    """In the layout of `build_backbone`, which is channels last: blocks are consecutive in the weight's own order."""
    architecture, options, size = FAMILIES[name]
    backbone = reference.backbone_of(network_of(architecture, **options)).double()
    images = reference.images_of(size, COUNT)
    train = Split(images, torch.arange(COUNT) % 3, ("a", "b", "c"))
    source = Source(backbone, reference.head_of(backbone, images), train)
    small = {n: w for n, w in backbone.prunable().items() if w.numel() < 4000}
    assert len(small) >= 3
    backbone.matrices = frozenset(small)
    found = correlated(source, damping=DAMPING, block_size=8, samples=COUNT)
    assert_close(found, explicit_scores(source, 8, DAMPING), 1e-5)
