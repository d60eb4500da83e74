"""Published scores against slow float64 references of themselves: one image, row or weight after another."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from unit.networks import BACKBONES, CLASSES, SIZE, backbone_of, head_of, images_of, state_of, weights_of
from unit.test_recoveries import mixed

from prunetransfer.criteria import random, ranks, sparsegpt, wanda
from prunetransfer.criteria.source import Source
from prunetransfer.curvature import task
from prunetransfer.datasets.splits import Split
from prunetransfer.heads.losses import LOSSES
from prunetransfer.models.backbones import Backbone
from prunetransfer.pruning.masks import global_mask
from prunetransfer.settings.registry import find

Tensors = dict[str, Tensor]

IMAGES = images_of(7)
NETWORKS = [*BACKBONES, "mixed"]
SETTINGS = {
    "random": {},
    "synflow": {"rounds": 4},
    "snip": {"loss": "squared", "samples": 7},
    "grasp": {"loss": "squared", "samples": 7},
    "wanda": {"samples": 7},
    "sparsegpt": {"sparsity": 0.5, "samples": 7, "positions": 1000},
}
DRAWN = ("snip", "grasp", "wanda", "sparsegpt")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Several batches of images and several blocks of columns, as a real backbone has them."""
    monkeypatch.setattr(task, "IMAGES_AT_ONCE", 3)
    monkeypatch.setattr(wanda, "IMAGES_AT_ONCE", 3)
    monkeypatch.setattr(sparsegpt, "COLUMNS", 8)


def network_of(kind: str) -> Backbone:
    return mixed() if kind == "mixed" else backbone_of(kind)


def computed(name: str, backbone: Backbone, images: Split = IMAGES, seed: int = 0, **settings: object) -> Tensors:
    """A score, given what it says that it sees and no more."""
    entry = find("scores", name)
    head = head_of(backbone) if entry.needs["sees"] == "labels" else None
    source = Source(backbone, head, images if entry.needs["sees"] else None, seed, SIZE)
    return entry.function(source, **SETTINGS[name] | settings)


def numpy(scores: Tensors) -> dict:
    return {name: values.numpy() for name, values in scores.items()}


def assert_same(found: Tensors, expected: Tensors, tolerance: float = 1e-9) -> None:
    """Equal up to `tolerance` of each layer's largest number."""
    assert list(found) == list(expected)
    for name, values in expected.items():
        error = (found[name].double() - values.double()).abs().max()
        assert error <= tolerance * values.abs().max(), f"{name}: {error}"


def places(values: list[float]) -> list[float]:
    """(k + ½)/n for the number with k lower or earlier equal ones among n, pair by pair."""
    below = [sum(y < x or (y == x and j < i) for j, y in enumerate(values)) for i, x in enumerate(values)]
    return [(k + 0.5) / len(values) for k in below]


def layers_of(backbone: Backbone) -> dict[str, nn.Module]:
    return {name: backbone.network.get_submodule(name.removesuffix(".weight")) for name in backbone.prunable()}


def read_by(backbone: Backbone, name: str, images: Tensor) -> Tensor:
    """What a layer reads, image after image."""
    found = []
    handle = layers_of(backbone)[name].register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    with torch.no_grad():
        for image in images:
            backbone(image[None])
    handle.remove()
    return torch.cat(found)


def rows_of(layer: nn.Module, x: Tensor) -> Tensor:
    """What the weights of each output multiply: [outputs, T, *weight.shape[1:]], T over images and positions."""
    outputs, *shape = layer.weight.shape
    if isinstance(layer, nn.Linear):
        return x.flatten(0, -2).expand(outputs, -1, -1)
    patches = F.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # [n, channels · kernel, T]
    patches = patches.movedim(1, -1).flatten(0, 1).unflatten(1, (layer.groups, *shape))
    return torch.stack([patches[:, o * layer.groups // outputs] for o in range(outputs)])


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


# --- Wanda ------------------------------------------------------------------------------------------------------------


def wanda_products(backbone: Backbone) -> Tensors:
    """|w_ij| ‖x_j‖₂, output after output."""
    found = {}
    for name, layer in layers_of(backbone).items():
        rows = rows_of(layer, read_by(backbone, name, IMAGES.images))
        norms = [row.square().sum(0).sqrt() for row in rows]
        found[name] = layer.weight.detach().abs() * torch.stack(norms)
    return found


@pytest.mark.parametrize("kind", NETWORKS)
def test_wanda_is_the_weight_times_the_norm_of_its_input(kind):
    backbone = network_of(kind).double()
    expected = wanda_products(backbone)
    assert_same(computed("wanda", backbone, per_output=False), expected)
    ranked = {
        name: torch.tensor([places(row) for row in values.flatten(1).tolist()]).double().view(values.shape)
        for name, values in expected.items()
    }
    assert_same(computed("wanda", backbone), ranked, 1e-6)


def test_a_weight_that_is_used_twice_has_the_norm_of_all_its_inputs():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.layer(x.mean((2, 3))))

    torch.manual_seed(0)
    backbone = Backbone(Twice(), [0.5] * 3, [0.25] * 3).double()
    weight, x = backbone.network.layer.weight.detach(), read_by(backbone, "layer.weight", IMAGES.images)
    assert len(x) == 14
    expected = {"layer.weight": weight.abs() * x.square().sum(0).sqrt()}
    assert_same(computed("wanda", backbone, per_output=False), expected)


def test_every_output_loses_the_same_share():
    mask = global_mask(numpy(computed("wanda", backbone_of("conv"))), 1 / 3)  # 27, 36 and 6 inputs
    for keep in mask.values():
        row = keep[0].size
        assert [int((~k).sum()) for k in keep] == [row // 3] * len(keep)
    raw = global_mask(numpy(computed("wanda", backbone_of("conv"), per_output=False)), 1 / 3)
    assert len({int((~k).sum()) for k in raw["conv1.weight"]}) > 1


# --- SparseGPT --------------------------------------------------------------------------------------------------------


def in_columns(layer: nn.Module, values: Tensor) -> Tensor:
    """[..., *weight.shape[1:]] → [..., columns]: channels last where the layer has no groups, as the score has them."""
    if isinstance(layer, nn.Linear):
        return values
    return (values.movedim(-3, -1) if layer.groups == 1 else values).flatten(-3)


def out_of_columns(layer: nn.Module, values: Tensor) -> Tensor:
    if isinstance(layer, nn.Linear):
        return values
    channels, *kernel = layer.weight.shape[1:]
    if layer.groups == 1:
        return values.unflatten(-1, (*kernel, channels)).movedim(-1, -3)
    return values.unflatten(-1, (channels, *kernel))


def by_columns(weight: Tensor, inputs: Tensor, sparsity: float, block: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, whether each is kept, and its place, [o, c]; inputs: [o, T, c] of each output, over √images.

    Column after column by explicit inverses: with those before it settled, what is left of row i is the quadratic form
    of H_i[j:, j:], whose inverse says what the loss of w_j costs and what makes up for it (Optimal Brain Surgeon).
    """
    weight = weight.clone()
    hessians = []
    for i, a in enumerate(inputs):
        h = 2 * a.mT @ a
        for j in range(len(h)):
            if h[j, j] == 0:
                h[j, j], weight[i, j] = 1, 0
        hessians.append(h + 0.01 * h.diagonal().mean() * torch.eye(len(h), dtype=h.dtype))
    rows, columns = weight.shape
    keep, place = torch.ones_like(weight, dtype=torch.bool), torch.empty_like(weight)
    for j in range(columns):
        if j % block == 0:
            stop = min(j + block, columns)
            cells = [(i, k) for i in range(rows) for k in range(j, stop)]
            costs = [(weight[i, k] ** 2 / torch.linalg.inv(hessians[i][k:, k:])[0, 0]).item() for i, k in cells]
            going = sorted(range(len(cells)), key=lambda n: costs[n])[: round(sparsity * len(cells))]
            for n in going:
                keep[cells[n]] = False
            for cell, share in zip(cells, places(costs), strict=True):
                place[cell] = share
        for i in range(rows):
            if not keep[i, j]:
                inverse = torch.linalg.inv(hessians[i][j:, j:])
                weight[i, j:] -= weight[i, j] / inverse[0, 0] * inverse[0]
                weight[i, j] = 0
    return weight, keep, place


def sparsegpt_reference(backbone: Backbone, sparsity: float, block: int) -> tuple[Tensors, Tensors]:
    """Kept weights and places, layer after layer of a copy, by what the copy gives each layer once it is pruned."""
    backbone = copy.deepcopy(backbone)
    kept, ranked = {}, {}
    for name, layer in layers_of(backbone).items():
        inputs = in_columns(layer, rows_of(layer, read_by(backbone, name, IMAGES.images))) / len(IMAGES.images) ** 0.5
        weight, keep, place = by_columns(in_columns(layer, layer.weight.detach()), inputs, sparsity, block)
        kept[name], ranked[name] = (out_of_columns(layer, x) for x in (keep, place))
        layer.weight.data.copy_(out_of_columns(layer, weight))
    return kept, ranked


@pytest.mark.parametrize("kind", NETWORKS)
def test_sparsegpt_is_the_surgeon_column_by_column(kind):
    backbone = network_of(kind).double()
    kept, expected = sparsegpt_reference(backbone, 0.5, block=8)
    found = computed("sparsegpt", backbone)
    assert_same(found, expected, 1e-12)
    mask = global_mask(numpy({name: values.float() for name, values in found.items()}), 0.5)  # all counts are whole
    assert all(torch.equal(torch.from_numpy(mask[name]), keep) for name, keep in kept.items())


def test_a_mask_takes_the_share_of_every_block_of_columns():
    mask = global_mask(numpy(computed("sparsegpt", backbone_of("conv"), sparsity=0.3)), 0.3)
    for name, layer in layers_of(backbone_of("conv")).items():
        for block in in_columns(layer, torch.from_numpy(mask[name])).split(8, -1):
            assert abs(int((~block).sum()) - 0.3 * block.numel()) < 1


def test_another_sparsity_gives_another_order():
    backbone = backbone_of("conv").double()
    low, high = (computed("sparsegpt", backbone, sparsity=s)["fc.weight"] for s in (0.25, 0.75))
    assert not torch.equal(low, high)
    _, expected = sparsegpt_reference(backbone, 0.75, block=8)
    assert_same({"fc.weight": high}, {"fc.weight": expected["fc.weight"]}, 1e-12)


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9])
def test_pruned_weights_are_changed_as_the_surgeon_changes_them(sparsity):
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(40, 21, generator=generator, dtype=torch.float64)
    a[:, [2, 17]] = 0  # dead inputs
    start = torch.randn(6, 21, generator=generator, dtype=torch.float64)
    weight, place = sparsegpt.pruned(start[None], 2 * (a.mT @ a)[None], sparsity)
    expected, keep, order = by_columns(start, a.expand(6, -1, -1), sparsity, block=8)
    torch.testing.assert_close(weight[0], expected)
    torch.testing.assert_close(place[0], order)
    assert (weight[0][~keep] == 0).all()
    for column, n in ((2, 6 * 8), (17, 6 * 5)):  # they go first of their block
        assert (place[0, :, column] < 6 / n).all()
    if sparsity == 0:
        assert torch.equal(weight[0], start * (a.abs().sum(0) > 0))


def test_positions_are_drawn_where_an_image_has_more():
    backbone = backbone_of("conv")
    whole, some = computed("sparsegpt", backbone), computed("sparsegpt", backbone, positions=2)
    assert not torch.equal(whole["conv1.weight"], some["conv1.weight"])
