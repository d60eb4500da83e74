"""Units: what goes with a channel or head, what stays, and that removed is the same as masked."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from unit.networks import MEAN, STD, state_of
from unit.structures import NETWORKS, Split, channel_mask, disturbed, image_of, images_for, pruned_copy, structured

from prunetransfer.models.backbones import Backbone
from prunetransfer.structure.dependencies import UNPROVEN, find_units, units_and_rest
from prunetransfer.structure.proposals import (
    FEATURES,
    MISNUMBERED,
    NORMALISED,
    NOT_PRUNABLE,
    OTHER_LAYER,
    SHARED,
    TOGETHER,
)
from prunetransfer.structure.shrink import shrunk
from prunetransfer.structure.units import mask_without, read_units, removed, write_units

# The most that can go of these is less than 0.6.
SPARSITIES = dict.fromkeys(NETWORKS, (0.3, 0.6)) | {"convnext": (0.3, 0.5)}


@functools.cache
def units_of(name):
    return find_units(structured(name), image_of(name))


def wrapped(network: nn.Module, exclude: tuple[str, ...] = ()) -> Backbone:
    torch.manual_seed(0)
    return Backbone(network, MEAN, STD, exclude).eval()


def rest_of(*layers: nn.Module, exclude: tuple[str, ...] = ()):
    """Families by name, and why others stay, of layers between a convolution of 8 channels and the features."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    units, rest = units_and_rest(wrapped(network, exclude), (3, 8, 8))
    return [family.name for family in units.families], rest


# --- removed is the same as masked ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_without_units_computes_what_the_masked_one_does(name):
    backbone, units, images = structured(name), units_of(name), images_for(name)
    for sparsity in SPARSITIES[name]:
        mask = channel_mask(units, sparsity)
        masked = pruned_copy(backbone, mask)
        for pruned in (masked, disturbed(pruned_copy(backbone, mask), mask)):
            small = shrunk(pruned, units, mask)
            with torch.no_grad():
                torch.testing.assert_close(small(images), pruned(images), rtol=1e-8, atol=1e-10)
                torch.testing.assert_close(small(images[:1]), pruned(images[:1]), rtol=1e-8, atol=1e-10)
            left = sum(weight.numel() for weight in small.prunable().values())
            assert left == sum(np.count_nonzero(keep) for keep in mask.values())


@pytest.mark.parametrize("name", ["resnet", "torchvision vit"])
def test_the_backbone_itself_stays_as_it_was(name):
    backbone = structured(name)
    backbone.network.requires_grad_(False)
    before = state_of(backbone)
    units = find_units(backbone, image_of(name))
    small = shrunk(backbone, units, channel_mask(units, 0.3))
    assert all(torch.equal(tensor, before[key]) for key, tensor in backbone.network.state_dict().items())
    assert not any(p.requires_grad for b in (backbone, small) for p in b.network.parameters())


@pytest.mark.parametrize("name", ["resnet", "mobilenet"])
def test_the_layout_stays_channels_last(name):
    backbone, units, images = structured(name).float(), units_of(name), images_for(name)
    backbone.lay_out(contiguous=False)
    mask = channel_mask(units, 0.5)
    small = shrunk(backbone, units, mask)
    weights = [weight for weight in small.prunable().values() if weight.dim() == 4]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    with torch.no_grad():
        torch.testing.assert_close(small(images), pruned_copy(backbone, mask)(images), rtol=1e-3, atol=1e-4)


def test_layers_say_how_wide_they_are():
    small = shrunk(structured("vit"), units_of("vit"), channel_mask(units_of("vit"), 0.5))
    for block in small.network.blocks:
        assert block.attn.qkv.out_features == len(block.attn.qkv.weight) == 3 * block.attn.num_heads * 16
        assert block.mlp.fc1.out_features == len(block.mlp.fc1.bias) == block.mlp.fc2.in_features
    assert min(block.attn.num_heads for block in small.network.blocks) < 3
    for layer in shrunk(structured("grouped"), units_of("grouped"), channel_mask(units_of("grouped"), 0.5)).modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.weight.shape[:2] == (layer.out_channels, layer.in_channels // layer.groups)
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.num_features == len(layer.weight) == len(layer.running_var)


@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_a_smaller_network_is_exported_with_any_batch(name):
    small = shrunk(structured(name).float(), units_of(name), channel_mask(units_of(name), 0.5))
    small.lay_out(contiguous=True)
    small.network.requires_grad_(False)
    batch = torch.export.Dim("batch", min=1)
    inputs = small.inputs(images_for(name, 3))
    program = torch.export.export(small.network, (inputs,), dynamic_shapes=({0: batch},))
    for count in (1, 3):
        torch.testing.assert_close(program.module()(inputs[:count]), small.network(inputs[:count]))


def test_a_unit_of_which_something_stays_is_not_removed():
    backbone, units, images = structured("toy"), units_of("toy"), images_for("toy")
    family = units.families[0]
    mask = mask_without(units, [np.arange(10) < 4, *(np.zeros(len(other), bool) for other in units.families[1:])])
    mask["one.weight"][3, 7, 1, 1] = True
    assert removed(units, mask)[0].tolist() == [True] * 3 + [False] * 7
    small = shrunk(backbone, units, mask)
    assert small.network.stem.out_channels == 7 and len(family) == 10
    with torch.no_grad():
        torch.testing.assert_close(small(images), pruned_copy(backbone, mask)(images), rtol=1e-8, atol=1e-10)


def test_of_a_family_that_goes_whole_one_unit_stays_with_zeros():
    backbone, units, images = structured("toy"), units_of("toy"), images_for("toy")
    mask = mask_without(units, [np.ones(len(family), bool) for family in units.families])
    small = shrunk(backbone, units, mask)
    assert small.network.stem.out_channels == 1
    with torch.no_grad():
        torch.testing.assert_close(small(images), pruned_copy(backbone, mask)(images), rtol=1e-8, atol=1e-10)


def test_a_mask_of_another_backbone_is_refused():
    with pytest.raises(ValueError, match="differ in what is prunable"):
        shrunk(structured("toy"), units_of("toy"), channel_mask(units_of("flattened"), 0.3))


# --- what units are ---------------------------------------------------------------------------------------------------


def members_of(name, weight):
    (family,) = (family for family in units_of(name).families if family.name == weight)
    return family.members


def test_a_channel_of_a_stream_is_all_that_writes_and_reads_it():
    members = members_of("toy", "stem.weight")
    places = {("stem", 0), ("one", 0), ("one", 1), ("two", 0), ("two", 1), ("fc", 1)}
    assert set(members) == {(f"{layer}.weight", axis) for layer, axis in places}
    assert all((indices == np.arange(10)[:, None]).all() for indices in members.values())


def test_several_columns_read_a_channel_that_was_flattened():
    members = members_of("flattened", "0.weight")
    np.testing.assert_array_equal(members["4.weight", 1], np.arange(32).reshape(8, 4))


def test_a_head_has_its_rows_of_queries_keys_and_values():
    members = members_of("vit", "blocks.0.attn.qkv.weight")
    rows = np.arange(144).reshape(3, 3, 16)  # q, k, v of three heads each
    np.testing.assert_array_equal(members["blocks.0.attn.qkv.weight", 0], rows.swapaxes(0, 1).reshape(3, 48))
    np.testing.assert_array_equal(members["blocks.0.attn.proj.weight", 1], np.arange(48).reshape(3, 16))


def test_channels_of_groups_go_with_those_at_the_same_place():
    members = members_of("toy groups", "0.weight")
    np.testing.assert_array_equal(members["0.weight", 0], [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]])
    np.testing.assert_array_equal(members["2.weight", 1], [[0], [1], [2]])
    members = members_of("toy groups", "2.weight")
    np.testing.assert_array_equal(members["2.weight", 0], [[0, 2, 4, 6], [1, 3, 5, 7]])
    np.testing.assert_array_equal(members["4.weight", 1], members["2.weight", 0])


@pytest.mark.parametrize("name", NETWORKS)
def test_no_row_and_no_column_belongs_to_two_units(name):
    taken = {}
    for family in units_of(name).families:
        assert len({len(indices) for indices in family.members.values()}) == 1 and len(family) > 1
        for place, indices in family.members.items():
            taken.setdefault(place, []).extend(indices.ravel().tolist())
    assert all(len(set(indices)) == len(indices) for indices in taken.values())
    order = [family.name for family in units_of(name).families]
    assert order == sorted(order, key=list(units_of(name).shapes).index)


@pytest.mark.parametrize("name", ["resnet", "vit", "mobilenet", "grouped", "flattened"])
def test_uses_count_the_multiply_adds_that_are_saved(name):
    backbone, units = structured(name), units_of(name)
    mask = channel_mask(units, 0.4)

    def multiply_adds(backbone):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            backbone(images_for(name, 1))
        products = (torch.ops.aten.convolution, torch.ops.aten.addmm, torch.ops.aten.mm)
        return sum(counter.get_flop_counts()["Global"].get(product, 0) for product in products) / 2

    saved = sum(units.uses[layer] * np.count_nonzero(~keep) for layer, keep in mask.items())
    assert saved == multiply_adds(backbone) - multiply_adds(shrunk(backbone, units, mask)) > 0


def test_a_file_gives_the_units_back(tmp_path):
    units = units_of("grouped")
    write_units(tmp_path / "units", units)
    found = read_units(tmp_path / "units")
    assert (found.shapes, found.uses, found.image) == (units.shapes, units.uses, units.image)
    for one, other in zip(found.families, units.families, strict=True):
        assert one.name == other.name and one.members.keys() == other.members.keys()
        for place, indices in other.members.items():
            np.testing.assert_array_equal(one.members[place], indices)


# --- what stays -------------------------------------------------------------------------------------------------------


class OverChannels(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    "mixes",
    [
        lambda x: F.layer_norm(x, x.shape[1:]),
        lambda x: x.softmax(1) @ torch.ones_like(x).mT,
        lambda x: x + x.mean(1, keepdim=True),
        lambda x: x.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2),  # a shuffle
        lambda x: x.flip(1),
    ],
    ids=["norm", "softmax", "mean", "shuffle", "flip"],
)
def test_what_mixes_channels_leaves_them(mixes):
    found, rest = rest_of(OverChannels(mixes), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1))
    assert rest == {"0.weight": UNPROVEN, "6.weight": FEATURES}
    assert found == ["2.weight", "3.weight"]


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 8), nn.LayerNorm([8, 6, 6])], ids=["group", "layer"])
def test_normalisation_over_channels_leaves_them(norm):
    found, rest = rest_of(norm, nn.Conv2d(8, 8, 1))
    assert rest == {"0.weight": NORMALISED.format("1"), "5.weight": FEATURES} and found == ["2.weight"]


def test_what_belongs_to_an_excluded_weight_stays():
    found, rest = rest_of(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1), exclude=("2.weight",))
    assert rest == {"1.weight": NOT_PRUNABLE.format("2.weight"), "5.weight": FEATURES}
    assert found == ["0.weight"]


def test_shared_weights_stay():
    layer, twin = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1, bias=False)
    twin.weight = layer.weight
    found, rest = rest_of(layer, nn.Conv2d(8, 8, 1), twin)
    assert rest["0.weight"] == SHARED.format("1.weight") and found == []


def test_a_layer_that_is_used_twice_is_removed_in_both_places():
    layer = nn.Conv2d(8, 8, 1)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), layer, nn.ReLU(), layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )
    units, rest = units_and_rest(wrapped(network), (3, 8, 8))
    assert rest == {"6.weight": FEATURES}
    assert set(units.families[0].members) == {("0.weight", 0), ("1.weight", 0), ("1.weight", 1), ("6.weight", 1)}
    assert units.uses["1.weight"] == 2 * 6 * 6


def test_transposed_convolutions_stay():
    up = nn.ConvTranspose2d(8, 8, 2)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), up, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    units, rest = units_and_rest(wrapped(network), (3, 8, 8))
    assert rest["0.weight"] == OTHER_LAYER.format("1") and units.families == []


def test_rows_that_torch_pruning_numbers_wrongly_stay():
    units, rest = units_and_rest(wrapped(Split()), (3, 8, 8))
    assert rest == {"stem.weight": MISNUMBERED.format("part.weight"), "fc.weight": FEATURES}
    assert [family.name for family in units.families] == ["mix.weight"]


def test_one_channel_a_group_goes_only_with_all():
    _, rest = rest_of(nn.Conv2d(8, 16, 1, groups=8), nn.Conv2d(16, 8, 1))
    assert rest["0.weight"] == TOGETHER


@pytest.mark.parametrize("name", NETWORKS)
def test_features_keep_their_width(name):
    backbone, images = structured(name), images_for(name)
    small = shrunk(backbone, units_of(name), channel_mask(units_of(name), 0.3))
    with torch.no_grad():
        assert small(images).shape == backbone(images).shape
