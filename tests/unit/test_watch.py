"""Every function that is given a weight is seen, once for each weight, and what it writes is what is handed on."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from prunetransfer.layers.rules import Linear
from prunetransfer.layers.watch import Watch


@pytest.fixture
def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 3)


def watched(weights, forward):
    """What a forward pass returns, and (name, kind of use, output) of each call on a weight."""
    calls = []

    def call(name, use, function):
        output = function()
        calls.append((name, type(use), output))
        return output

    with Watch(weights, call):
        return forward(), calls


def test_a_layer_is_seen_with_its_use(layer):
    x = torch.ones(2, 3)
    output, ((name, kind, written),) = watched({"w": layer.weight}, lambda: layer(x))
    assert (name, kind) == ("w", Linear) and written is output
    assert torch.equal(output, layer(x))


def test_a_function_that_is_given_two_weights_is_called_once(layer):
    other = nn.Parameter(torch.eye(3))
    output, calls = watched({"input": other, "w": layer.weight}, lambda: F.linear(other, layer.weight))
    assert [(name, kind) for name, kind, _ in calls] == [("input", type(None)), ("w", Linear)]
    assert all(written is output for _, _, written in calls)


def test_what_is_made_of_a_weight_is_a_use_without_a_rule(layer):
    x = torch.ones(2, 3)
    _, calls = watched({"w": layer.weight}, lambda: F.linear(x, layer.weight.T) + torch.cat([layer.weight, x])[:2])
    assert [(name, kind) for name, kind, _ in calls] == [("w", type(None))] * 2


def test_a_call_may_write_something_else(layer):
    with Watch({"w": layer.weight}, lambda name, use, function: 2 * function()):
        doubled = layer(torch.ones(2, 3))
    assert torch.equal(doubled, 2 * layer(torch.ones(2, 3)))
