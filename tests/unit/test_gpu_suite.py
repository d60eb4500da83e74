"""The suite for GPUs where there is none: its comparisons hold for two precisions of the CPU and a pretended GPU."""

from __future__ import annotations

import importlib
import pkgutil
from contextlib import nullcontext

import pytest
import torch
from gpu import scripts
from gpu.cases import Case, Place
from gpu.pretended import MixedDevices, pretended_gpu
from gpu.scores import SCORED
from gpu.stages import STAGES, assert_agree
from gpu.trainings import RECOVERED, resumed
from torch._subclasses import FakeTensorMode

from prunetransfer import criteria, recovery
from prunetransfer.settings.registry import REGISTRY

# torch computes a ViT's attention image after image under vmap, and says so each time.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop", "ignore:CUDA is not available")

CPU = torch.device("cpu")
SMALL = [(name, kind) for name, stage in STAGES.items() for kind in stage.kinds if kind in ("conv", "vit")]


@pytest.fixture
def gpu():
    with pretended_gpu() as device:
        yield device


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kind in SMALL if STAGES[name].float64])
def test_float32_is_as_near_to_float64_as_a_gpu_must_be_to_the_cpu(name, kind):
    assert_agree(name, kind, Place(CPU), Place(CPU, torch.float64))


@pytest.mark.parametrize(("name", "kind"), SMALL)
def test_no_stage_mixes_devices(name, kind, gpu):
    assert_agree(name, kind, Place(gpu), Place(CPU))


def test_a_killed_run_goes_on_from_its_saved_state(gpu, tmp_path):
    after_a_kill, without = resumed(Case("conv", Place(gpu)), tmp_path)
    assert all(torch.equal(after_a_kill[name], tensor) for name, tensor in without.items())


def test_the_scripts_write_the_same_from_either_device(tmp_path):
    places = {"cpu": tmp_path / "cpu", "pretended": tmp_path / "gpu"}
    for device, folder in places.items():
        folder.mkdir()
        with pretended_gpu() if device == "pretended" else nullcontext():
            scripts.run(folder, landscape=True)
        assert scripts.devices(folder) == {device}
    scripts.assert_close(*map(scripts.results, places.values()))


def layer(first, second):
    return torch.nn.functional.linear(first, second)


# What is done with a tensor of one device and one of another.
MIXTURES = {
    "sum": torch.add,
    "product": torch.mul,
    "matrix product": torch.matmul,
    "layer": layer,
    "choice": lambda first, second: torch.where(first > 0, first, second),
    "joined": lambda first, second: torch.cat([first, second]),
    "in place": lambda first, second: first.clone().add_(second),
    "in a list": lambda first, second: torch._foreach_mul([first], [second]),
    "scattered": lambda first, second: first.clone().scatter_add(
        1, torch.zeros_like(second, dtype=torch.int64), second
    ),
    "indexed by": lambda first, second: first[second.long()],
    "indexed in place": lambda first, second: first.clone().index_add_(0, second[0].long(), first),
    "times a number": lambda first, second: first * second.sum(),
    "copied into": lambda first, second: first.clone().copy_(second),
    "set": lambda first, second: first.clone().__setitem__(0, second[0]),
    "moved": lambda first, second: first.to(second) + second,
}


@pytest.mark.parametrize("first", ["cpu", "cuda"])
@pytest.mark.parametrize("mixture", MIXTURES)
def test_the_pretended_gpu_refuses_what_fake_tensors_of_torch_refuse(mixture, first):
    second = "cuda" if first == "cpu" else "cpu"

    def refused() -> bool:
        pair = torch.zeros(2, 2, device=first), torch.zeros(2, 2, device=second)
        try:
            MIXTURES[mixture](*pair)
        except RuntimeError:
            return True
        return False

    with FakeTensorMode():
        expected = refused()
    with pretended_gpu():
        # Fake tensors let a tensor on the CPU be indexed by one on the GPU; a GPU does not.
        assert refused() == (expected or (mixture, first) == ("indexed by", "cpu"))


def test_a_pretended_tensor_stays_where_it_is(gpu):
    there = torch.arange(6.0, device=gpu).view(2, 3)
    found = [
        there[0],
        there.T,
        there.sum(),
        there.new_zeros(2),
        torch.zeros_like(there),
        there.double(),
        there.detach(),
    ]
    found += [there.cpu().to(gpu), torch.nn.Linear(3, 2).to(gpu).weight, torch.nn.Linear(3, 2).to(gpu)(there)]
    assert {tensor.device for tensor in found} == {gpu}
    found = [there.cpu(), there.to("cpu"), there.to(torch.zeros(2)), torch.zeros_like(there, device="cpu")]
    assert {tensor.device for tensor in found} == {CPU}
    with pytest.raises(TypeError, match="NumPy"):
        there.numpy()
    with pytest.raises(MixedDevices, match="generator"):
        torch.randn(2, generator=torch.Generator(), device=gpu)


def test_every_score_and_recovery_is_in_the_suite():
    for module in pkgutil.iter_modules(criteria.__path__):
        importlib.import_module(f"{criteria.__name__}.{module.name}")
    assert {score for score, _, _ in SCORED.values()} == set(REGISTRY["scores"])
    for module in pkgutil.iter_modules(recovery.__path__):
        importlib.import_module(f"prunetransfer.recovery.{module.name}")
    assert set(RECOVERED) | {"finetune"} == set(REGISTRY["recoveries"])
