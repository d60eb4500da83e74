"""Checkpoints are converted so that no weight stays random by accident."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from unit.networks import ConvNet, backbone_of

from prunetransfer.models.backbones import build_network
from prunetransfer.models.checkpoints import convert, read_checkpoint, renamed
from prunetransfer.storage.artifacts import ArtifactError

RESNET = {"layers": [1, 1, 1, 1], "channels": [4, 4, 4, 8]}


def test_every_tensor_of_the_network_is_converted(state):
    network = ConvNet()
    converted = convert(state, network)
    assert list(converted) == list(network.state_dict())
    for key, tensor in state.items():
        assert torch.equal(torch.from_numpy(converted[key]), tensor)
        assert torch.equal(network.state_dict()[key], tensor)


def test_what_differs_is_listed(state):
    state["stem.weight"] = state.pop("conv1.weight")
    state["fc.weight"] = torch.ones(5, 7)
    with pytest.raises(ArtifactError) as error:
        convert(state, ConvNet())
    assert str(error.value) == (
        "checkpoint and architecture differ: missing: conv1.weight; unexpected: stem.weight; "
        "of another shape: fc.weight [5, 7], not [5, 6]"
    )


def test_keys_are_renamed_one_rule_after_the_other(state, tmp_path):
    def foreign(key: str) -> str:
        return key.replace("conv1", "stem").replace("bn1", "stem_norm").replace("fc", "proj")

    torch.save({f"net.{foreign(key)}": tensor for key, tensor in state.items()}, tmp_path / "net.pt")
    rules = [{r"^proj\.(\w+)": r"fc.\1"}, {"^stem": "conv1"}, {"conv1_norm": "bn1"}]
    converted = convert(read_checkpoint(tmp_path / "net.pt", prefix="net.", rename=rules), ConvNet())
    assert converted.keys() == state.keys()
    assert all(torch.equal(torch.from_numpy(converted[key]), tensor) for key, tensor in state.items())


def test_a_rule_that_changes_nothing_and_two_keys_of_one_name_are_refused():
    state = {"a.weight": torch.ones(1), "b.weight": torch.ones(2)}
    with pytest.raises(ArtifactError, match=r"rename: '\^c' changes none of the names d\.weight, b\.weight"):
        renamed(state, [{"^a": "d"}, {"^c": "e"}])
    with pytest.raises(ArtifactError, match=r"rename: a\.weight and b\.weight both become layer\.weight"):
        renamed(state, [{r"^[ab]\.": "layer."}])


def test_a_renamed_key_without_its_place_is_unexpected(state):
    with pytest.raises(
        ArtifactError, match=r"missing: conv1\.weight, conv1\.bias; unexpected: stem\.weight, stem\.bias;"
    ):
        convert(renamed(state, [{"^conv1": "stem"}]), ConvNet())


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64, torch.bool])
def test_integers_are_not_taken_for_weights(state, dtype):
    quantised = state | {"fc.weight": (100 * state["fc.weight"]).to(dtype)}
    with pytest.raises(ArtifactError, match=rf"not of floating-point numbers: fc\.weight \({dtype}\)$"):
        convert(quantised, backbone_of("conv").network)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_layers_with_numbers_that_are_not_finite_are_named(state, number):
    with pytest.raises(ArtifactError, match=r"differ: NaN or infinite: fc\.weight$"):
        convert(state | {"fc.weight": torch.full_like(state["fc.weight"], number)}, backbone_of("conv").network)


def test_the_same_tensors_under_other_names_are_paired(state):
    other = {f"m{k}.{key.rpartition('.')[2]}": tensor for k, (key, tensor) in enumerate(state.items())}
    with pytest.raises(ArtifactError) as error:
        convert({**other, "top.weight": torch.ones(2, 5)}, ConvNet())
    first = list(state)[:4]
    pairs = ", ".join(f"m{k}.{key.rpartition('.')[2]} → {key}" for k, key in enumerate(first))
    assert str(error.value).endswith(f"in the same order under other names, which `rename` can map: {pairs}")
    swapped = dict(reversed(other.items()))
    with pytest.raises(ArtifactError) as error:
        convert(swapped, ConvNet())
    assert "rename" not in str(error.value)


def test_ignored_keys_are_left_out(state):
    more = {**state, "linear.weight": torch.ones(2, 5), "linear.bias": torch.ones(2), "epoch": torch.tensor(3)}
    with pytest.raises(ArtifactError, match="unexpected: epoch"):
        convert(more, ConvNet(), ignore=["linear.*"])
    assert convert(more, ConvNet(), ignore=["linear.*", "epoch"]).keys() == state.keys()


def test_an_ignored_weight_of_the_network_is_missed(state):
    with pytest.raises(ArtifactError, match=r"missing: fc\.bias"):
        convert(state, ConvNet(), ignore=["fc.bias"])


def test_the_classifier_is_dropped_by_its_name_in_timm():
    whole = build_network("resnet18", RESNET, num_classes=10)
    converted = convert(whole.state_dict(), build_network("resnet18", RESNET))
    assert converted.keys() == whole.state_dict().keys() - {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(("classifier", "dropped"), [("top", ["top"]), (("top", "side"), ["top", "side"]), (None, [])])
def test_a_network_may_name_no_classifier_or_several(state, classifier, dropped):
    network: nn.Module = ConvNet()
    network.pretrained_cfg = {"classifier": classifier}
    more = {**state, **{f"{name}.weight": torch.ones(1) for name in dropped}}
    assert convert(more, network).keys() == state.keys()
    with pytest.raises(ArtifactError, match="topping"):
        convert({**state, "topping.weight": torch.ones(1)}, network)


def test_keys_that_may_be_missing_stay_as_initialised(state, capsys):
    network = ConvNet()
    initial = network.fc.bias.detach().clone()
    del state["fc.bias"], state["bn1.num_batches_tracked"]
    converted = convert(state, network, missing=["fc.*"])
    assert torch.equal(torch.from_numpy(converted["fc.bias"]), initial)
    assert torch.equal(torch.from_numpy(converted["fc.weight"]), state["fc.weight"])
    assert "not in the checkpoint: bn1.num_batches_tracked, fc.bias" in capsys.readouterr().out
