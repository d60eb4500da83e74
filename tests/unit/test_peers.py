"""Published scores against slow float64 references of themselves: one image, weight or round after another.

Wanda and SparseGPT, which go layer by layer: test_peers_by_layer.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from unit.networks import BACKBONES, CLASSES, SIZE, backbone_of, head_of, images_of, state_of, weights_of
from unit.peers import IMAGES, NETWORKS, SETTINGS, Tensors, assert_same, computed, network_of, places

from prunetransfer.criteria import random, ranks, sparsegpt, wanda
from prunetransfer.criteria.source import Source
from prunetransfer.curvature import task
from prunetransfer.heads.losses import LOSSES
from prunetransfer.models.backbones import Backbone

DRAWN = ("snip", "grasp", "wanda", "sparsegpt")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Several batches of images and several blocks of columns, as a real backbone has them."""
    monkeypatch.setattr(task, "IMAGES_AT_ONCE", 3)
    monkeypatch.setattr(wanda, "IMAGES_AT_ONCE", 3)
    monkeypatch.setattr(sparsegpt, "COLUMNS", 8)


# --- what all have in common ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", SETTINGS)
def test_scores_are_numbers_of_the_weights_shapes_and_leave_the_backbone_as_it_is(name, kind):
    backbone = network_of(kind)
    before = state_of(backbone)
    found = computed(name, backbone)
    assert {key: values.shape for key, values in found.items()} == {k: w.shape for k, w in weights_of(backbone).items()}
    assert list(found) == list(backbone.prunable())
    assert all(values.dtype == (torch.float64 if name == "grasp" else torch.float32) for values in found.values())
    assert all(values.isfinite().all() and (values >= 0).all() for values in found.values())
    assert all(values.unique().numel() > 1 for values in found.values())
    assert all(torch.equal(tensor, before[key]) for key, tensor in backbone.network.state_dict().items())
    assert all(parameter.grad is None for parameter in backbone.parameters())
    assert not any(tensor.requires_grad for tensor in found.values())


@pytest.mark.parametrize("kind", BACKBONES)
@pytest.mark.parametrize("name", SETTINGS)
def test_float32_scores_are_close(name, kind):
    found, exact = computed(name, backbone_of(kind)), computed(name, backbone_of(kind).double())
    if name in ("synflow", "wanda", "sparsegpt"):  # places: two weights that are nearly alike may change theirs
        errors = torch.cat([(found[key].double() - exact[key]).abs().flatten() for key in exact])
        assert (errors > 1e-6).double().mean() < 0.02
    else:
        assert_same(found, exact, 1e-4)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_seed_decides_what_is_drawn(name):
    backbone, images = backbone_of("conv"), images_of(30)
    once, again, other = (computed(name, backbone, images, seed) for seed in (0, 0, 1))
    assert all(torch.equal(once[key], again[key]) for key in once)
    assert any(not torch.equal(once[key], other[key]) for key in once) == (name in DRAWN)


@pytest.mark.filterwarnings("ignore:left as they are")  # the walk's own word
@pytest.mark.parametrize("name", ["wanda", "sparsegpt"])
def test_a_weight_that_no_rule_fits_is_refused(name):
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 4), nn.Parameter(torch.ones(4, 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.first(x.mean((2, 3))) @ self.second

    backbone = Backbone(Product(), [0.5] * 3, [0.25] * 3, matrices=["first.weight", "second"])
    with pytest.raises(ValueError, match=r": second$"):
        computed(name, backbone)


def test_places_count_what_is_lower_and_what_is_equal_and_earlier():
    values = torch.randint(5, (3, 11), generator=torch.Generator().manual_seed(0)).double()
    assert ranks.shares_below(values).tolist() == [places(row) for row in values.tolist()]


# --- random -----------------------------------------------------------------------------------------------------------


def test_random_numbers_are_uniform_and_drawn_by_the_setting():
    backbone = backbone_of("vit")
    found, other = computed("random", backbone), computed("random", backbone, seed=1)
    assert_same(found, other, 0)
    drawn = torch.cat([values.flatten() for values in found.values()]).sort().values
    assert (drawn - torch.linspace(0, 1, len(drawn))).abs().max() < 1.63 / len(drawn) ** 0.5  # Kolmogorov, 1%
    again = random.random(Source(backbone), seed=1)
    assert not any(torch.equal(found[name], again[name]) for name in found)
    assert inspect.signature(random.random).parameters["seed"].default == 0


# --- SynFlow ----------------------------------------------------------------------------------------------------------


class Plain(nn.Module):
    """Convolution, ReLU and linear layers with biases: with weights of one sign R is linear in each weight alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.conv(x)).mean((2, 3)))


def by_removal(network: nn.Module, weights: list[Tensor]) -> list[float]:
    """R minus R without the weight, for one weight after the other."""
    scores = []
    image = torch.ones(1, 3, SIZE, SIZE, dtype=torch.float64)
    whole = network(image).sum().item()
    for weight in weights:
        flat = weight.view(-1)
        for j in range(len(flat)):
            value = flat[j].item()
            flat[j] = 0
            scores.append(whole - network(image).sum().item())
            flat[j] = value
    return scores


def by_slope(network: nn.Module, weights: list[Tensor]) -> list[float]:
    with torch.enable_grad():
        total = network(torch.ones(1, 3, SIZE, SIZE, dtype=torch.float64)).sum()
        slopes = torch.autograd.grad(total, [w.requires_grad_() for w in weights])
    return torch.cat([(g * w).abs().flatten() for g, w in zip(slopes, weights, strict=True)]).tolist()


@torch.no_grad()
def synflow_order(backbone: Backbone, score: Callable[[nn.Module, list[Tensor]], list[float]], rounds: int) -> Tensors:
    """Round by round, with a list of who is left."""
    weights = list(backbone.prunable().values())
    for parameter in backbone.network.parameters():
        parameter.copy_(parameter.abs())
    left, order = list(range(sum(w.numel() for w in weights))), []
    total = len(left)
    for k in range(1, rounds + 1):
        scores = score(backbone.network, weights)
        by_score = sorted(left, key=lambda j: scores[j])
        while len(left) > round(total * 0.01 ** (k / rounds)):
            j = by_score.pop(0)
            left.remove(j)
            order.append(j)
            for weight in weights:
                if 0 <= j < weight.numel():
                    weight[tuple(torch.unravel_index(torch.tensor(j), weight.shape))] = 0
                j -= weight.numel()
    order += by_score
    place = torch.tensor([order.index(j) / total for j in range(total)], dtype=torch.float64)
    parts = place.split([w.numel() for w in weights])
    return {name: part.view(w.shape) for (name, w), part in zip(backbone.prunable().items(), parts, strict=True)}


def test_flow_is_what_is_lost_without_the_weight():
    torch.manual_seed(0)
    backbone = Backbone(Plain(), [0.5] * 3, [0.25] * 3).double()
    found = computed("synflow", backbone, rounds=5)
    assert_same(found, synflow_order(copy.deepcopy(backbone), by_removal, 5), 1e-12)


@pytest.mark.parametrize("kind", BACKBONES)
def test_weights_go_round_by_round(kind):
    backbone = backbone_of(kind).double()
    assert_same(computed("synflow", backbone, rounds=3), synflow_order(copy.deepcopy(backbone), by_slope, 3), 1e-12)
    three, one = (computed("synflow", backbone, rounds=rounds) for rounds in (3, 1))
    assert any(not torch.equal(three[name], one[name]) for name in one)


def test_a_flow_that_overflows_is_refused():
    backbone = backbone_of("conv").double()
    with torch.no_grad():
        backbone.network.conv1.weight.fill_(1e200)
        backbone.network.conv2.weight.fill_(1e200)
    with pytest.raises(ValueError, match="overflows"):
        computed("synflow", backbone)


# --- SNIP and GraSP ---------------------------------------------------------------------------------------------------


def slope(backbone: Backbone, loss: str) -> list[Tensor]:
    """The gradient of the mean loss over IMAGES, image after image, with the losses written out."""
    head, weights = head_of(backbone), [w.requires_grad_() for w in backbone.prunable().values()]
    sums = [torch.zeros_like(w) for w in weights]
    for image, label in zip(IMAGES.images, IMAGES.labels, strict=True):
        outputs = (backbone(image[None]) @ head.weight + head.bias)[0]
        if loss == "squared":
            value = 0.5 * ((outputs - torch.eye(CLASSES, dtype=outputs.dtype)[label]) ** 2).sum()
        else:
            value = outputs.exp().sum().log() - outputs[label]
        for total, g in zip(sums, torch.autograd.grad(value, weights), strict=True):
            total += g.detach() / len(IMAGES.labels)
    return sums


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", NETWORKS)
def test_snip_is_the_size_of_weight_times_mean_gradient(kind, loss):
    backbone = network_of(kind).double()
    found = computed("snip", backbone, loss=loss)
    expected = {n: (w * g).abs() for (n, w), g in zip(weights_of(backbone).items(), slope(backbone, loss), strict=True)}
    assert_same(found, expected)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", NETWORKS)
def test_grasp_is_how_fast_the_gradients_norm_falls_as_a_weight_shrinks(kind, loss):
    """Up to a number that is the same for all weights: −½ d‖∇L‖²/dt as the weight is (1 − t) w_j."""
    backbone = network_of(kind).double()
    found = torch.cat([values.flatten() for values in computed("grasp", backbone, loss=loss).values()])
    assert found.min() == 0
    chosen = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))[:40]
    norms, at, step = [], [], 1e-5
    for start, weight in zip(starts(backbone), weights_of(backbone).values(), strict=True):
        for j in [int(j) - start for j in chosen if start <= j < start + weight.numel()]:
            place = tuple(torch.unravel_index(torch.tensor(j), weight.shape))
            value, sides = weight[place].item(), []
            for t in (-step, step):
                weight[place] = (1 - t) * value
                sides.append(sum(g.square().sum().item() for g in slope(backbone, loss)))
            weight[place] = value
            norms.append(-0.5 * (sides[1] - sides[0]) / (2 * step))
            at.append(start + j)
    differences = found[at] - torch.tensor(norms, dtype=torch.float64)
    assert len(at) == 40
    spread = torch.tensor(norms).std()
    assert (differences - differences.median()).abs().max() < 1e-4 * spread


def starts(backbone: Backbone) -> list[int]:
    """Where each weight begins among all."""
    sizes = [w.numel() for w in backbone.prunable().values()]
    return [sum(sizes[:i]) for i in range(len(sizes))]
