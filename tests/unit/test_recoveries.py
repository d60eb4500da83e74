"""Recoveries without training, against slow float64 references of themselves."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from unit.networks import BACKBONES, SIZE, backbone_of, head_of, images_of, state_of

from prunetransfer.layers import lockstep
from prunetransfer.layers.lockstep import Layer, walk
from prunetransfer.models.backbones import Backbone
from prunetransfer.recovery import compensate, moments, reconstruct
from prunetransfer.recovery.case import Case
from prunetransfer.settings.registry import REGISTRY

IMAGES = replace(images_of(24), labels=None)
ALL = 24
SETTINGS = {
    "batchnorm": {"samples": ALL},
    "moments": {"samples": ALL},
    "reconstruct": {"samples": ALL, "positions": 1000, "ridge": 1e-3},
    "compensate": {"samples": 9, "sampling": "balanced", "loss": "squared", "block_size": 8, "damping": 1e-2},
}
RECOVERIES = {name: REGISTRY["recoveries"][name] for name in SETTINGS}
APPLIES = [(name, kind) for name in RECOVERIES for kind in BACKBONES if (name, kind) != ("batchnorm", "vit")]


class Mixed(nn.Module):
    """Grouped, depthwise and strided convolutions, batchnorm, a dead channel's readers, and no bias at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.grouped = nn.Conv2d(8, 12, (3, 1), groups=2, dilation=(1, 2), bias=False)
        self.last = nn.Linear(12, 5, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        return self.last(torch.relu(self.grouped(torch.relu(self.depthwise(x)))).mean((2, 3)))


def mixed() -> Backbone:
    torch.manual_seed(0)
    network = Mixed()
    nn.init.uniform_(network.norm.running_var, 0.5, 2.0)
    nn.init.normal_(network.norm.running_mean)
    return Backbone(network, [0.5] * 3, [0.25] * 3).eval()


def case(kind: str) -> tuple[Backbone, Backbone, dict[str, Tensor]]:
    """A pruned backbone, the dense one, and the mask: about half of each layer, and one whole output channel."""
    dense = (mixed() if kind == "mixed" else backbone_of(kind)).double()
    generator = torch.Generator().manual_seed(0)
    mask = {name: torch.rand(w.shape, generator=generator) < 0.5 for name, w in dense.prunable().items()}
    for keep in list(mask.values())[:-1]:
        keep[1] = False
    pruned = copy.deepcopy(dense)
    pruned.prune(mask)
    return pruned, dense, mask


def recover(name: str, given: Case) -> None:
    """Without head and labels, where it needs none."""
    unlabelled = replace(given, head=None, train=replace(given.train, labels=None))
    RECOVERIES[name].function(given if RECOVERIES[name].needs["labels"] else unlabelled, **SETTINGS[name])


def recovered(name: str, kind: str) -> tuple[Backbone, Backbone, dict[str, Tensor]]:
    pruned, dense, mask = case(kind)
    recover(name, Case(pruned, dense, mask, head_of(dense), images_of(24), 0))
    return pruned, dense, mask


def outputs_of(dense: Backbone, pruned: Backbone, images: Tensor) -> dict[str, tuple[Tensor, Tensor, bool]]:
    """Name → outputs of the dense layer and of the pruned one, channels last, and whether it has a bias of its own.

    Of a layer that computes its bias anew, what it writes without it.
    """
    found = {}

    def note(layer: Layer) -> None:
        channel, bias = 1 if layer.use.weight.dim() > 2 else -1, layer.use.bias
        own = bias is None or isinstance(bias, nn.Parameter)
        shift = 0 if own else bias
        (part,) = layer.parts
        both = (x.movedim(channel, -1).flatten(0, -2) - shift for x in (part.expected(), part.forward()))
        found[layer.name] = (*both, own and bias is not None)

    walk(dense, pruned, images, note)
    return found


@pytest.mark.parametrize(("name", "kind"), APPLIES)
def test_pruned_weights_stay_zero_and_kept_ones_finite(name, kind):
    pruned, _, mask = recovered(name, kind)
    for layer, weight in pruned.prunable().items():
        assert (weight[~mask[layer]] == 0).all(), layer
    assert all(tensor.isfinite().all() for tensor in pruned.network.state_dict().values())


# batchnorm does not ask what the dense backbone had.
@pytest.mark.parametrize("name", sorted(RECOVERIES.keys() - {"batchnorm"}))
@pytest.mark.parametrize("kind", BACKBONES)
def test_nothing_is_recovered_where_nothing_is_pruned(name, kind):
    dense = backbone_of(kind).double()
    same, before = copy.deepcopy(dense), state_of(dense)
    mask = {layer: torch.ones_like(w, dtype=torch.bool) for layer, w in dense.prunable().items()}
    recover(name, Case(same, dense, mask, head_of(dense), images_of(24), 0))
    for key, tensor in state_of(same).items():
        torch.testing.assert_close(tensor, before[key], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", ["conv", "vit", "mixed"])
def test_moments_are_those_of_the_dense_backbone(kind):
    pruned, dense, _ = recovered("moments", kind)
    assert all(channels - matched <= 2 for matched, channels in assert_moments(pruned, dense, IMAGES.images))


def assert_moments(pruned: Backbone, dense: Backbone, images: Tensor) -> list[tuple[int, int]]:
    """Each layer's output, seen through the batchnorm that reads it, has the dense mean and deviation on the images.

    Channels beyond the bounds of the gain are passed over; returns how many of each layer were not, of how many.
    """
    counts = []
    norms, expected_norms = (moments.norms_of(backbone, images[:1]) for backbone in (pruned, dense))
    for name, (wanted, found, biased) in outputs_of(dense, pruned, images).items():
        alive = (found.std(0) > moments.DEAD * wanted.std(0)) & (wanted.std(0) > moments.DEAD * found.std(0))
        if name in norms:
            alive &= norms[name].running_var > 0  # at 0, epsilon is all that is left to divide by
        counts.append((int(alive.sum()), len(alive)))
        if name in norms:
            wanted, found = (
                (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
                for x, norm in ((wanted, expected_norms[name]), (found, norms[name]))
            )
        elif not biased:
            wanted, found = (x.square().mean(0)[alive] for x in (wanted, found))
            torch.testing.assert_close(found, wanted)
            continue
        torch.testing.assert_close(found.mean(0), wanted.mean(0), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(found.std(0)[alive], wanted.std(0)[alive])
    return counts


class DeadChannel(nn.Module):
    """As in EfficientNet-Lite0: a clipped channel that is zero on every image feeds a depthwise convolution."""

    def __init__(self, bias: bool, norm: bool) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(6, 6, 3, groups=6, bias=bias)
        self.read = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.last = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu6(self.read(self.depthwise(F.relu6(self.norm(self.stem(x)))))).mean((2, 3)))


@pytest.mark.parametrize(("bias", "norm"), [(False, True), (True, False), (False, False)])
def test_a_channel_that_is_constant_in_the_dense_backbone_stays_so_and_all_is_finite(bias, norm):
    torch.manual_seed(0)
    dense = Backbone(DeadChannel(bias, norm), [0.5] * 3, [0.25] * 3).eval().to(memory_format=torch.channels_last)
    pixels = (IMAGES.images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    with torch.no_grad():
        # One pixel has no tails; the sum of many, which is what pruning leaves, has.
        dense.network.stem.weight[0] *= 0.1
        dense.network.stem.weight[0, 0, 1, 1] = 1
        written = dense.network.norm(dense.network.stem(pixels))
        dense.network.norm.bias[0] = -1.01 * written[:, 0].max()
    pruned = copy.deepcopy(dense)
    mask = {name: torch.ones_like(w, dtype=torch.bool) for name, w in dense.prunable().items()}
    mask["stem.weight"][0, 0, 1, 1] = False
    pruned.prune(mask)

    def channel(backbone: Backbone) -> Tensor:
        """What the dead channel becomes, as the last ReLU reads it."""
        net = backbone.network
        return net.read(net.depthwise(F.relu6(net.norm(net.stem(pixels))))).detach()[:, 0]

    moments.moments(Case(pruned, dense, mask, None, IMAGES, 0), samples=ALL)
    state = state_of(pruned)
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert channel(dense).std() == 0
    assert channel(pruned).std() > 0  # it is alive in the pruned backbone, and damped
    torch.testing.assert_close(channel(pruned), channel(dense), rtol=0, atol=2e-3)
    if not norm:
        gain = state["depthwise.weight"][0] / dense.network.depthwise.weight[0].detach()
        torch.testing.assert_close(gain, torch.full_like(gain, 1e-3))


def test_batchnorm_statistics_are_those_of_what_it_reads():
    pruned, _, _ = recovered("batchnorm", "mixed")
    pixels = (IMAGES.images.permute(0, 3, 1, 2).double() / 255 - 0.5) / 0.25
    read = pruned.network.stem(pixels).movedim(1, -1).flatten(0, -2)
    torch.testing.assert_close(pruned.network.norm.running_mean, read.mean(0))
    torch.testing.assert_close(pruned.network.norm.running_var, read.var(0))
    assert not pruned.network.norm.training and pruned.network.norm.momentum == 0.1


def test_a_backbone_without_batchnorm_is_refused():
    with pytest.raises(ValueError, match="no batch normalisation"):
        recovered("batchnorm", "vit")


@pytest.mark.parametrize("kind", ["conv", "vit", "mixed"])
def test_reconstructed_rows_solve_their_own_least_squares(kind):
    pruned, dense, mask = case(kind)
    before = {name: w.detach().clone() for name, w in pruned.prunable().items()}
    reconstruct.reconstruct(Case(pruned, dense, mask, None, IMAGES, 0), **SETTINGS["reconstruct"])
    assert_least_squares(pruned, dense, mask, before, IMAGES.images)


def assert_least_squares(
    pruned: Backbone, dense: Backbone, mask: dict[str, Tensor], before: dict[str, Tensor], images: Tensor
) -> None:
    """At the minimum the slope by each kept weight is zero: Σ_t (w·a_t + b − y_t) a_t + λ (w − w_0) = 0."""
    checked = []

    def look(layer: Layer) -> None:
        (part,), use, start = layer.parts, layer.use, before[layer.name]
        weight = use.weight.detach().clone().requires_grad_()
        options = {k: getattr(use, k) for k in ("stride", "dilation", "groups") if hasattr(use, k)}
        with torch.enable_grad():
            if weight.dim() == 2:
                written = F.linear(use.input, weight, use.bias)
                squares = use.input.square().flatten(0, -2).sum(0).mean().expand(1)
            else:
                padding = tuple(first for first, _ in use.padding)
                written = F.conv2d(use.input, weight, use.bias, padding=padding, **options)
                patches = F.unfold(use.input, weight.shape[2:], options["dilation"], padding, options["stride"])
                squares = patches.square().sum((0, 2)).view(use.groups, -1).mean(1)
            fit = 0.5 * (written - part.expected()).square().sum()
            (slope,) = torch.autograd.grad(fit, weight)
        penalty = 1e-3 * squares.repeat_interleave(len(weight) // len(squares))
        slope = slope + penalty.view(-1, *[1] * (weight.dim() - 1)) * (weight - start)
        assert slope[mask[layer.name]].abs().max() < 1e-6 * squares.max(), layer.name
        assert not torch.equal(use.weight, start), layer.name
        checked.append(layer.name)

    walk(dense, pruned, images, look)
    assert checked == list(dense.prunable())


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_systems_are_solved_alike_whatever_the_budget(kept):
    """By the kept set or by the pruned one, whichever is smaller; a dead input and a group of them change nothing."""
    torch.manual_seed(0)
    a = torch.randn(3, 40, 7, dtype=torch.float64)
    a[0, :, 3] = 0
    a[2] = 0
    gram, missing = a.mT @ a, torch.randn(3, 5, 40, dtype=torch.float64) @ a
    keep = torch.rand(3, 5, 7) < kept
    keep[1, 2], keep[1, 3] = False, True
    penalty = torch.tensor([0.1, 0.2, 0.0], dtype=torch.float64)
    found = [reconstruct.solve(gram, missing, keep, penalty, budget) for budget in (1, 2**30)]
    torch.testing.assert_close(*found)
    assert (found[0][2] == 0).all()
    for g, row in [(g, row) for g in range(2) for row in range(5)]:
        k = keep[g, row]
        system = gram[g][k][:, k] + penalty[g] * torch.eye(int(k.sum()))
        torch.testing.assert_close(found[0][g, row, k], torch.linalg.solve(system, missing[g, row, k]))
        assert (found[0][g, row, ~k] == 0).all()


@pytest.mark.parametrize("block_size", [8, 64])  # 9 images: products, and rows
def test_kept_weights_take_over_by_the_joint_update(block_size):
    pruned, dense, mask = case("conv")
    head, images, settings = head_of(dense), images_of(9), SETTINGS["compensate"] | {"block_size": block_size}
    before = {name: w.detach().clone() for name, w in pruned.prunable().items()}
    compensate.compensate(Case(pruned, dense, mask, head, images, 0), **settings)
    for name, weight in dense.prunable().items():
        rows = []
        for image, label in zip(images.images, images.labels, strict=True):
            targets = F.one_hot(label, 3).double()
            loss = 0.5 * (head(dense(image[None])) - targets).square().sum()
            rows.append(torch.autograd.grad(loss, weight)[0].flatten())
        g, w, k = torch.stack(rows), weight.detach().flatten(), mask[name].flatten()
        expected = before[name].flatten().clone()
        for start in range(0, len(w), block_size):
            b = slice(start, start + block_size)
            h = g[:, b].T @ g[:, b] / len(g) + 1e-2 * torch.eye(len(w[b]))
            kb = k[b]
            expected[b][kb] += torch.linalg.solve(h[kb][:, kb], h[kb][:, ~kb] @ w[b][~kb])
        torch.testing.assert_close(pruned.prunable()[name].flatten(), expected, rtol=1e-5, atol=1e-6)


def test_an_error_in_either_backbone_ends_the_walk():
    pruned, dense, _ = case("conv")

    def fail(layer: Layer) -> None:
        raise RuntimeError("here")

    with pytest.raises(RuntimeError, match="here"):
        walk(dense, pruned, IMAGES.images, fail)
    dense.network.fc = nn.Linear(3, 5).double()
    with pytest.raises(RuntimeError, match="shapes"):
        walk(dense, pruned, IMAGES.images, lambda layer: None)


@pytest.mark.parametrize("name", ["moments", "reconstruct"])
@pytest.mark.parametrize("kind", ["conv", "vit", "mixed"])
def test_chunks_of_the_images_change_nothing(name, kind, monkeypatch):
    expected, *_ = recovered(name, kind)
    monkeypatch.setattr(lockstep, "CHUNK_PIXELS", 7 * SIZE**2)  # 24 images: three chunks of 7, one of 3
    seen = []
    monkeypatch.setattr(lockstep, "run", lambda *args, run=lockstep.run: (seen.append(len(args[1])), run(*args))[1])
    found, *_ = recovered(name, kind)
    assert sorted(seen) == [3, 3, 7, 7, 7, 7, 7, 7]
    torch.testing.assert_close(found.network.state_dict(), expected.network.state_dict())


def test_an_error_in_one_pass_ends_all_of_them():
    pruned, dense, _ = case("mixed")
    dense.network.grouped.forward = None
    threads = threading.active_count()
    with pytest.raises(TypeError, match="not callable"):
        walk(dense, pruned, IMAGES.images, lambda layer: None)
    assert threading.active_count() == threads
