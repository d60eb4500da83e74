"""Every stage as a function of where it runs: what it computes there, and how far another place may be from it.

Two places are compared: a GPU and the CPU; where there is no GPU, one that is pretended, or two precisions of the CPU.
"""

from __future__ import annotations

from functools import cache

import pytest
from gpu import readings, scores, trainings  # noqa: F401 (they register their stages)
from gpu.cases import STAGES, Case, Place, Tensors
from torch import Tensor


def found(name: str, kind: str, place: Place) -> Tensors:
    """What a stage finds, on the CPU and in float64; the stage leaves its results where it computes."""
    if needs := STAGES[name].needs:
        pytest.importorskip(needs)
    tensors = STAGES[name].compute(Case(kind, place))
    elsewhere = {key for key, tensor in tensors.items() if tensor.device.type != place.device.type}
    assert not elsewhere, f"{name}: not on {place.device.type}: {', '.join(elsewhere)}"
    return {key: tensor.detach().cpu().double() for key, tensor in tensors.items()}


found_once = cache(found)  # the CPU is asked by several tests


def assert_agree(name: str, kind: str, place: Place, reference: Place) -> None:
    """A stage finds in `place` what it finds in `reference`, within its tolerance; and that is something."""
    here, there = (found_once(name, kind, at) for at in (place, reference))
    assert here.keys() == there.keys()
    assert any(tensor.any() for tensor in there.values()), f"{name}: nothing was found"
    errors = {key: relative_error(here[key], there[key]) for key in there}
    wrong = {key: error for key, error in errors.items() if not error <= STAGES[name].tolerance}
    assert not wrong, f"{name} on {kind}, {place} and {reference}: {wrong}"


def relative_error(here: Tensor, there: Tensor) -> float:
    assert here.shape == there.shape
    difference = (here - there).norm()
    return 0.0 if difference == 0 else (difference / there.norm()).item()
