"""Wanda and SparseGPT against slow float64 references of themselves: one row or column after another."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from unit.networks import backbone_of
from unit.peers import IMAGES, NETWORKS, Tensors, assert_same, computed, network_of, places

from prunetransfer.criteria import sparsegpt, wanda
from prunetransfer.models.backbones import Backbone
from prunetransfer.pruning.masks import global_mask


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Several batches of images and several blocks of columns, as a real backbone has them."""
    monkeypatch.setattr(wanda, "IMAGES_AT_ONCE", 3)
    monkeypatch.setattr(sparsegpt, "COLUMNS", 8)


def numpy(scores: Tensors) -> dict:
    return {name: values.numpy() for name, values in scores.items()}


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
