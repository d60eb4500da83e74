"""Block curvature against explicit inverses in float64: its two forms, its budget, and its damping."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from unit.networks import backbone_of, head_of, images_of

from prunetransfer.criteria import source as criteria_source
from prunetransfer.criteria.block import block
from prunetransfer.criteria.source import Source
from prunetransfer.curvature import blocks, gradients, passes
from prunetransfer.curvature.blocks import LayerBlocks
from prunetransfer.curvature.gradients import Rows
from prunetransfer.heads.losses import LOSSES
from prunetransfer.runtime import devices

SIZES = {"a": 23, "b": 8, "c": 3}  # blocks of 4: six with a short one, two, one short one
WEIGHTS = {name: torch.empty(size) for name, size in SIZES.items()}
SETTINGS = {"samples": 12, "block_size": 7, "damping": 1e-2}


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


def inverse_diagonals(rows, images, block_size, damping, budget=10**6, batch=3):
    """As of batches of 3 images."""
    return of_batches(batches_of(rows, batch), WEIGHTS, images, block_size, damping, budget)


def of_batches(batches, weights, images, block_size, damping, budget=10**6):
    return passes.of_blocks(
        lambda names: batches, weights, block_size, budget, lambda b, w: b.inverse_diagonal(images, damping)
    )


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
    found = inverse_diagonals(rows, images, 4, damping)
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
    found = inverse_diagonals(rows, 4, 5, 1e-2)  # 12 rows of 4 images, as of 3 seeds
    for name, row in rows.items():
        torch.testing.assert_close(found[name].double(), explicit(row, 4, 5, 1e-2), rtol=1e-6, atol=0)


@pytest.mark.parametrize("images", [3, 20])
def test_it_has_the_shape_of_the_weight_and_single_precision(images):
    rows = {"w": Rows(torch.randn(images, 4, 3, 2, 2))}
    (found,) = of_batches([rows], {"w": torch.empty(4, 3, 2, 2)}, images, 5, 1.0).values()
    assert found.shape == (4, 3, 2, 2) and found.dtype == torch.float32
    expected = explicit(rows["w"].rows.flatten(1), images, 5, 1.0).view(4, 3, 2, 2)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=0)


# --- damping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["conv", "vit"])
@pytest.mark.parametrize("memory_budget", [None, 4e-6 * 7 * 7 * 3], ids=["one pass", "several passes"])
def test_relative_damping_is_the_number_that_it_comes_to(kind, memory_budget, monkeypatch):
    backbone, train = backbone_of(kind), images_of(20)
    head, seen = head_of(backbone), []
    layer_gradients = criteria_source.layer_gradients
    monkeypatch.setattr(criteria_source, "layer_gradients", lambda *of: seen.append(of[-1]) or layer_gradients(*of))
    settings = SETTINGS | {"memory_budget": memory_budget}
    relative = Source(backbone, head, train)
    found = block(relative, **settings | {"damping": None, "relative": 0.3})
    assert len(seen) == 2 if memory_budget is None else len(seen) > 3  # one of them for λ alone
    given = Source(backbone, head, train)
    expected = block(given, **settings | {"damping": relative.record["damping"]})
    assert given.record == relative.record
    assert all(torch.equal(found[name], values) for name, values in expected.items())
    other = block(Source(backbone, head, train), **settings | {"damping": None, "relative": 0.03})
    assert not any(torch.allclose(other[name], values, rtol=1e-2) for name, values in expected.items())


@pytest.mark.parametrize("values", [[1e8] * 4, [float("nan"), 1, 1, 1]], ids=["singular", "nan"])
@pytest.mark.parametrize("rows", [3, 8], ids=["rows", "products"])
def test_a_block_that_cannot_be_factored_names_its_layer(values, rows):
    bad = torch.eye(rows, 8)
    bad[:, 4:] = torch.tensor(values)
    weights = {"conv1.weight": torch.empty(8), "layer2.conv.weight": torch.empty(8)}
    batch = {"conv1.weight": Rows(torch.eye(rows, 8)), "layer2.conv.weight": Rows(bad)}
    message = r"block curvature of layer2\.conv\.weight: .* not positive definite; raise damping \(1e-12\)"
    with pytest.raises(ValueError, match=message):
        of_batches([batch], weights, rows, 4, 1e-12)


# --- budget -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [1, 2, 3, 5, 8, 9, 100])
def test_groups_hold_every_weight_once_in_order_and_within_the_budget(room):
    budget = 4 * 4 * 4 * room + 63  # not quite another block
    found = passes.groups(SIZES, 4, budget)
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
        passes.groups(SIZES, 64, 1000)


@pytest.mark.parametrize("kind", ["conv", "vit"])
@pytest.mark.parametrize("samples", [6, 12])  # with B = 7: rows and products
def test_the_budget_changes_the_passes_and_not_the_result(kind, samples, monkeypatch):
    backbone = backbone_of(kind)
    source, seen = Source(backbone, head_of(backbone), images_of(20)), []

    def watched(*arguments):
        seen.append(list(arguments[-1]))
        return gradients.layer_gradients(*arguments)

    monkeypatch.setattr(criteria_source, "layer_gradients", watched)

    def compute(memory_budget):
        seen.clear()
        settings = SETTINGS | {"samples": samples, "memory_budget": memory_budget}
        return block(source, **settings), len(seen)

    whole, once = compute(None)
    assert once == 1 and seen == [list(backbone.prunable())]
    weights = sum(weight.numel() for weight in backbone.prunable().values())
    for memory_budget in (4e-6 * 7 * weights / 3, 4e-6 * 7 * 7 * 3):  # a third, and three blocks
        streamed, often = compute(memory_budget)
        assert often >= 3
        assert max(len(names) for names in seen) < len(whole)
        for name, values in whole.items():
            torch.testing.assert_close(streamed[name], values, rtol=1e-6, atol=0)


def test_large_layers_are_added_in_parts_of_the_images(monkeypatch):
    rows = rows_of(11)
    whole = inverse_diagonals(rows, 11, 4, 1e-2, batch=11)
    added = []
    add = LayerBlocks.add
    monkeypatch.setattr(LayerBlocks, "add", lambda self, g: (added.append(tuple(g.shape)), add(self, g))[1])
    monkeypatch.setattr(passes, "ROWS_BYTES", 4 * 23 * 2 + 1)
    found = inverse_diagonals(rows, 11, 4, 1e-2, batch=11)
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
