"""Block curvature against explicit inverses in float64: its two forms, its budget, and its damping."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import Tensor
from unit.networks import backbone_of, head_of, images_of, state_of, weights_of

from prunetransfer.criteria import block
from prunetransfer.criteria.damping import GRID, held_out, least_damaging, pruned_losses
from prunetransfer.curvature import blocks, gradients
from prunetransfer.curvature.blocks import LayerBlocks, NotPositiveDefinite
from prunetransfer.curvature.gradients import Rows
from prunetransfer.datasets.splits import Split, balanced_subset
from prunetransfer.heads.losses import LOSSES
from prunetransfer.models.backbones import extract_features
from prunetransfer.pruning.masks import global_mask
from prunetransfer.runtime import devices

SIZES = {"a": 23, "b": 8, "c": 3}  # blocks of 4: six with a short one, two, one short one
WEIGHTS = {name: torch.empty(size) for name, size in SIZES.items()}
SETTINGS = {
    **{"loss": "squared", "matrix": "empirical", "draws": None, "samples": 12, "sampling": "balanced"},
    **{"block_size": 7},
    **{"damping": 1e-2, "damping_relative": False, "memory_budget": None},
}


def rows_of(images: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Gradients [images, size] a layer, each layer's at another scale."""
    draw = torch.Generator().manual_seed(0)
    return {
        name: 10.0**-k * torch.randn(images, size, generator=draw, dtype=torch.float64).to(dtype)
        for k, (name, size) in enumerate(SIZES.items())
    }


def batches_of(rows: dict[str, Tensor], size: int) -> list[dict[str, Rows]]:
    parts = {name: r.split(size) for name, r in rows.items()}
    return [{name: Rows(p[k]) for name, p in parts.items()} for k in range(len(parts["a"]))]


def explicit(rows: Tensor, images: int, block_size: int, damping: float) -> Tensor:
    """[(F_b + λI)⁻¹]_jj of one layer, block after block."""
    found = []
    for g in rows.double().split(block_size, dim=1):
        found.append(torch.linalg.inv(g.T @ g / images + damping * torch.eye(g.shape[1])).diagonal())
    return torch.cat(found)


def inverse_diagonals(rows, images, block_size, dampings, relative=False, budget=10**6, batch=3):
    """As of batches of 3 images."""
    batches = batches_of(rows, batch)
    return block.inverse_diagonals(lambda names: batches, WEIGHTS, images, block_size, dampings, relative, budget)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Several batches of images and of blocks, as a real backbone has them."""
    monkeypatch.setattr(gradients, "IMAGES_AT_ONCE", 5)
    monkeypatch.setattr(blocks, "BLOCKS_AT_ONCE", {"cpu": 2})


# --- the two forms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [2, 3, 4, 11])  # fewer than B, as many, more
@pytest.mark.parametrize("damping", [1e-4, 1.0])
def test_it_is_the_diagonal_of_each_blocks_inverse(images, damping):
    rows = rows_of(images)
    found = inverse_diagonals(rows, images, 4, [damping])[damping]
    for name, row in rows.items():
        torch.testing.assert_close(found[name].double(), explicit(row, images, 4, damping), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_and_products_give_the_same(dtype):
    rows = rows_of(9, dtype)["a"]
    kept, multiplied = LayerBlocks(slice(0, 23), 10), LayerBlocks(slice(0, 23), 10)
    kept.add(rows)
    multiplied.add(torch.cat([rows, torch.zeros(1, 23, dtype=dtype)]))  # a tenth row that adds nothing
    assert kept.products is None and not multiplied.rows
    for damping in (1e-3, 1.0):
        expected = explicit(rows, 9, 10, damping)
        for form in (kept, multiplied):
            torch.testing.assert_close(form.inverse_diagonal(9, damping).double(), expected, rtol=1e-4, atol=0)


def test_rows_turn_into_products_when_they_reach_the_block_size():
    rows = rows_of(11)["a"]
    found = LayerBlocks(slice(0, 23), 8)
    for part in rows.split(3):
        found.add(part)
    assert not found.rows
    torch.testing.assert_close(
        found.inverse_diagonal(11, 1e-2).double(), explicit(rows, 11, 8, 1e-2), rtol=1e-6, atol=0
    )


def test_kept_rows_hold_no_more_than_their_own_weights():
    found = LayerBlocks(slice(0, 4), 4)
    found.add(torch.ones(2, 1000))
    assert [rows.untyped_storage().nbytes() for rows in found.rows] == [4 * 2 * 4]


def test_several_rows_an_image_are_divided_by_the_images():
    rows = rows_of(12)
    found = inverse_diagonals(rows, 4, 5, [1e-2])[1e-2]  # 12 rows of 4 images, as of 3 seeds
    for name, row in rows.items():
        torch.testing.assert_close(found[name].double(), explicit(row, 4, 5, 1e-2), rtol=1e-6, atol=0)


@pytest.mark.parametrize("images", [3, 20])
def test_it_has_the_shape_of_the_weight_and_single_precision(images):
    rows = {"w": Rows(torch.randn(images, 4, 3, 2, 2))}
    (found,) = block.inverse_diagonals(
        lambda n: [rows], {"w": torch.empty(4, 3, 2, 2)}, images, 5, [1.0], False, 10**6
    )[1.0].values()
    assert found.shape == (4, 3, 2, 2) and found.dtype == torch.float32
    expected = explicit(rows["w"].rows.flatten(1), images, 5, 1.0).view(4, 3, 2, 2)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=0)


# --- damping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [3, 11])
@pytest.mark.parametrize("budget", [10**6, 4 * 4 * 4])
def test_relative_damping_is_a_multiple_of_the_layers_mean_diagonal(images, budget):
    rows = rows_of(images)
    found = inverse_diagonals(rows, images, 4, [0.1], relative=True, budget=budget)[0.1]
    for name, row in rows.items():
        expected = explicit(row, images, 4, 0.1 * row.square().mean().item())
        torch.testing.assert_close(found[name].double(), expected, rtol=1e-6, atol=0)


def test_damping_relative_to_nothing_is_refused():
    rows = rows_of(5) | {"b": torch.zeros(5, 8, dtype=torch.float64)}
    assert (inverse_diagonals(rows, 5, 4, [0.1])[0.1]["b"] == 10).all()
    with pytest.raises(ValueError, match=r"block curvature of b: all gradients are zero, .* make it absolute"):
        inverse_diagonals(rows, 5, 4, [0.1], relative=True)


@pytest.mark.parametrize("values", [[1e8] * 4, [float("nan"), 1, 1, 1]], ids=["singular", "nan"])
@pytest.mark.parametrize("rows", [3, 8], ids=["rows", "products"])
def test_a_block_that_cannot_be_factored_names_its_layer(values, rows):
    bad = torch.eye(rows, 8)
    bad[:, 4:] = torch.tensor(values)
    weights = {"conv1.weight": torch.empty(8), "layer2.conv.weight": torch.empty(8)}
    batch = {"conv1.weight": Rows(torch.eye(rows, 8)), "layer2.conv.weight": Rows(bad)}
    message = r"block curvature of layer2\.conv\.weight: .* not positive definite; raise damping \(1e-12\)"
    with pytest.raises(ValueError, match=message):
        block.inverse_diagonals(lambda names: [batch], weights, rows, 4, [1e-12], False, 10**6)


def test_a_damping_that_fails_is_left_out_where_another_does_not():
    rows = rows_of(8) | {"b": torch.full((8, 8), 1e4, dtype=torch.float64)}
    with pytest.raises(ValueError, match="block curvature of b"):
        inverse_diagonals(rows, 8, 4, [1e-12])
    assert list(inverse_diagonals(rows, 8, 4, [1e-12, 1e2])) == [1e2]


# --- budget -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [1, 2, 3, 5, 8, 9, 100])
def test_groups_hold_every_weight_once_in_order_and_within_the_budget(room):
    budget = 4 * 4 * 4 * room + 63  # not quite another block
    found = block.groups(SIZES, 4, budget)
    pieces = [(name, part) for group in found for name, part in group.items()]
    assert list(dict(pieces)) == list(SIZES)
    for name, size in SIZES.items():
        covered = [range(size)[part] for other, part in pieces if other == name]
        assert [k for part in covered for k in part] == list(range(size))
        assert all(part.start % 4 == 0 for part in covered)
    blocks_held = [sum(-(-(part.stop - part.start) // 4) for part in group.values()) for group in found]
    assert max(blocks_held) <= room
    assert len(found) == -(-9 // room)


def test_a_budget_below_one_block_says_what_is_needed():
    with pytest.raises(
        ValueError, match=r"memory_budget: 0\.001 MB hold no block of 64 weights; at least 0\.016384 MB"
    ):
        block.groups(SIZES, 64, 1000)


@pytest.mark.parametrize("kind", ["conv", "vit"])
@pytest.mark.parametrize("samples", [6, 12])  # with B = 7: rows and products
def test_the_budget_changes_the_passes_and_not_the_result(kind, samples, monkeypatch):
    backbone = backbone_of(kind)
    head, train = head_of(backbone), images_of(20)
    passes = []

    def watched(*arguments):
        passes.append(list(arguments[-1]))
        return gradients.layer_gradients(*arguments)

    monkeypatch.setattr(block, "layer_gradients", watched)

    def compute(memory_budget):
        passes.clear()
        settings = SETTINGS | {"samples": samples, "memory_budget": memory_budget}
        return block.compute(backbone, head, train, 0, **settings)[0], len(passes)

    whole, once = compute(None)
    assert once == 1 and passes == [list(backbone.prunable())]
    weights = sum(weight.numel() for weight in backbone.prunable().values())
    for memory_budget in (4e-6 * 7 * weights / 3, 4e-6 * 7 * 7 * 3):  # a third, and three blocks
        streamed, often = compute(memory_budget)
        assert often >= 3
        assert max(len(names) for names in passes) < len(whole)
        for name, values in whole.items():
            torch.testing.assert_close(streamed[name], values, rtol=1e-6, atol=0)


def test_large_layers_are_added_in_parts_of_the_images(monkeypatch):
    rows = rows_of(11)
    whole = inverse_diagonals(rows, 11, 4, [1e-2], batch=11)[1e-2]
    added = []
    add = LayerBlocks.add
    monkeypatch.setattr(LayerBlocks, "add", lambda self, g: (added.append(tuple(g.shape)), add(self, g))[1])
    monkeypatch.setattr(block, "ROWS_BYTES", 4 * 23 * 2 + 1)
    found = inverse_diagonals(rows, 11, 4, [1e-2], batch=11)[1e-2]
    assert added == [*[(2, 23)] * 5, (1, 23), (5, 8), (5, 8), (1, 8), (11, 3)]
    for name, values in whole.items():
        torch.testing.assert_close(found[name], values, rtol=1e-6, atol=0)


def test_without_a_budget_it_is_a_share_of_the_free_memory(monkeypatch):
    class Memory:
        available = 8 * 2**20

    monkeypatch.setattr(devices.psutil, "virtual_memory", Memory)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3000, 9000))
    for given, expected in ((None, 2), ("4", 1), ("0", 2), ("100", 2)):
        if given:
            monkeypatch.setenv("SLURM_MEM_PER_NODE", given)
        assert devices.spare_memory(torch.device("cpu")) == expected * 2**20
    assert devices.spare_memory(torch.device("cuda")) == 1500


# --- damping: auto ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relative", [False, True])
def test_auto_takes_the_damping_of_least_loss_on_other_images_over_all_sparsities(relative):
    backbone = backbone_of("conv")
    head, train = head_of(backbone), images_of(30)
    before = state_of(backbone)
    settings = SETTINGS | {"damping_relative": relative, "damping_sparsities": [0.2, 0.6, 0.9]}
    curvature, record = block.compute(backbone, head, train, 3, **settings | {"damping": "auto"})
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.network.state_dict().items())

    chosen = balanced_subset(train.labels, 12, seed=3)
    others = held_out(train, chosen, seed=3)
    expected = {}
    for damping in GRID:
        values, given = block.compute(backbone, head, train, 3, **settings | {"damping": damping})
        assert (given["damping"], given["damping_tried"]) == (damping, {damping: {}})
        scores = {name: (0.5 * w**2 / values[name]).numpy() for name, w in weights_of(backbone).items()}
        expected[damping] = {}
        for sparsity in settings["damping_sparsities"]:
            pruned = copy.deepcopy(backbone)
            pruned.prune({name: torch.from_numpy(keep) for name, keep in global_mask(scores, sparsity).items()})
            outputs = head(extract_features(pruned, others.images))
            expected[damping][sparsity] = LOSSES["squared"](outputs, others.labels).mean().item()
        assert record["damping_tried"][damping] == pytest.approx(expected[damping])
    products = {damping: math.prod(losses.values()) for damping, losses in expected.items()}
    assert len(set(products.values())) > 2  # the choice matters
    assert record["damping"] == min(products, key=products.get)
    best, _ = block.compute(backbone, head, train, 3, **settings | {"damping": record["damping"]})
    assert all(torch.equal(curvature[name], values) for name, values in best.items())


def test_a_damping_that_fails_is_recorded_without_a_loss(monkeypatch):
    backbone = backbone_of("conv")
    inverse_diagonal = LayerBlocks.inverse_diagonal

    def failing(self, images, damping):
        if damping < 1e-4:
            raise NotPositiveDefinite("too small")
        return inverse_diagonal(self, images, damping)

    monkeypatch.setattr(LayerBlocks, "inverse_diagonal", failing)
    settings = SETTINGS | {"damping": "auto", "damping_sparsities": [0.5]}
    _, record = block.compute(backbone, head_of(backbone), images_of(30), 0, **settings)
    assert [damping for damping, loss in record["damping_tried"].items() if not loss] == [1e-8, 1e-7, 1e-6, 1e-5]
    assert record["damping"] >= 1e-4


def test_a_damping_that_ruins_low_sparsities_is_not_chosen_for_a_little_at_a_high_one():
    losses = {
        1e-6: {0.3: 0.20, 0.4: 0.30, 0.5: 0.340, 0.9: 0.90},
        1e-4: {0.3: 0.10, 0.4: 0.15, 0.5: 0.345, 0.9: 1.30},
        1e-2: {0.3: 0.15, 0.4: 0.25, 0.5: 0.400, 0.9: 0.95},
    }
    assert least_damaging(losses) == 1e-4
    assert min(losses, key=lambda damping: losses[damping][0.5]) == 1e-6  # what one sparsity would say
    assert min(losses, key=lambda damping: sum(losses[damping].values())) == 1e-6  # and the plain mean
    assert least_damaging({1e-2: {0.5: 0.0}, 1e-4: {0.5: 0.0}}) == 1e-4  # the smaller of equals, and no logarithm of 0


def test_held_out_images_are_other_ones_balanced_and_at_most_as_many():
    train = images_of(30)
    train = Split(torch.arange(30), train.labels.sort().values, train.classes)  # each image is its own index
    for samples, count in ((6, 6), (12, 12), (20, 10), (29, 1)):
        chosen = balanced_subset(train.labels, samples, seed=1)
        others = held_out(train, chosen, seed=1)
        assert len(others.images) == len(set(others.images.tolist())) == count
        assert not set(others.images.tolist()) & set(chosen.tolist())
        assert torch.equal(others.labels, train.labels[others.images])
    assert held_out(train, balanced_subset(train.labels, 6, seed=1), seed=1).labels.bincount().tolist() == [2, 2, 2]
    draws = [tuple(held_out(train, torch.arange(6), seed).images.tolist()) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_auto_needs_images_that_the_score_does_not_see(monkeypatch):
    backbone = backbone_of("conv")
    monkeypatch.setattr(block, "inverse_diagonals", lambda *arguments: pytest.fail("computed before it was refused"))
    with pytest.raises(ValueError, match=r"damping: auto needs train images .* `samples` takes all 12; lower it"):
        block.compute(backbone, head_of(backbone), images_of(12), 0, **SETTINGS | {"damping": "auto"})


def test_the_backbone_is_restored_when_the_loss_cannot_be_computed():
    backbone = backbone_of("conv")
    head, before = head_of(backbone), state_of(backbone)
    ones = {name: torch.ones_like(w) for name, w in weights_of(backbone).items()}
    broken = images_of(3)
    broken = Split(broken.images[..., :2], broken.labels, broken.classes)
    with pytest.raises(RuntimeError):
        pruned_losses(backbone, head, broken, {1.0: ones}, "squared", [0.5])
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.network.state_dict().items())


def test_a_damping_whose_loss_is_not_finite_is_left_out(monkeypatch):
    backbone = backbone_of("conv")
    head, ones = head_of(backbone), {name: torch.ones_like(w) for name, w in weights_of(backbone).items()}
    losses = iter([0.1, math.nan, 0.3, 0.3])
    monkeypatch.setitem(LOSSES, "squared", lambda outputs, labels: torch.tensor([next(losses)]))
    found = pruned_losses(backbone, head, images_of(3), {1e-4: ones, 1.0: ones}, "squared", [0.3, 0.5])
    assert list(found) == [1.0] and found[1.0] == pytest.approx({0.3: 0.3, 0.5: 0.3})
    monkeypatch.setitem(LOSSES, "squared", lambda outputs, labels: torch.tensor([math.inf]))
    with pytest.raises(ValueError, match="not finite at any λ; give damping a number"):
        pruned_losses(backbone, head, images_of(3), {1.0: ones}, "squared", [0.5])


# --- the engine's names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["conv", "vit"])
def test_gradients_of_some_weights_are_those_of_all(kind):
    backbone = backbone_of(kind)
    head, images = head_of(backbone), images_of(7)
    arguments = (backbone, head, images.images, images.labels, gradients.loss_gradient(LOSSES["squared"]))
    every = list(gradients.layer_gradients(*arguments))
    for names in itertools.pairwise(every[0]):
        some = list(gradients.layer_gradients(*arguments, names))
        assert [list(batch) for batch in some] == [list(names)] * len(every)
        for batch, whole in zip(some, every, strict=True):
            assert all(torch.equal(batch[name].materialise(), whole[name].materialise()) for name in names)
            assert torch.equal(batch[names[0]].materialise(slice(1, 2)), whole[names[0]].materialise()[1:2])
