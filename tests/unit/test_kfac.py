"""Kronecker-factored curvature against explicit Kronecker products and inverses, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from unit import reference
from unit.networks import BACKBONES, CLASSES, backbone_of, head_of, images_of
from unit.test_architectures import FAMILIES, network_of

from prunetransfer.criteria.damped import damped
from prunetransfer.criteria.kfac import kfac
from prunetransfer.criteria.source import Source
from prunetransfer.curvature import gradients, kronecker
from prunetransfer.curvature.gradients import Products
from prunetransfer.datasets.splits import Split
from prunetransfer.layers.rules import Linear
from prunetransfer.models.backbones import Backbone

# torch computes a ViT's attention image after image under vmap, and says so each time.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")

COUNT, RELATIVE = 7, 0.5

Tensors = dict[str, Tensor]


class Grouped(nn.Module):
    """Convolutions with groups, dilation and depthwise ones, and a linear layer that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3)
        self.dilated = nn.Conv2d(6, 4, (3, 2), padding=2, dilation=(2, 1), groups=2, bias=False)
        self.depthwise = nn.Conv2d(4, 8, 3, groups=4)
        self.twice = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.depthwise(torch.tanh(self.dilated(torch.tanh(self.grouped(x))))))
        return self.twice(torch.tanh(self.twice(x.mean((2, 3)))))


class Odd(nn.Module):
    """A weight that no rule fits, and one that no gradient reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=4)
        self.transposed = nn.ConvTranspose2d(4, 5, 2)
        self.unheard = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.transposed(torch.tanh(self.conv(x)))).mean((2, 3))
        return x + 0 * self.unheard(x).detach()


def source_of(kind: str | nn.Module, dtype: torch.dtype = torch.float64) -> Source:
    backbone = (backbone_of(kind) if isinstance(kind, str) else reference.backbone_of(kind)).to(dtype)
    return Source(backbone, head_of(backbone), images_of(COUNT))


# --- brute force ------------------------------------------------------------------------------------------------------


class Layers:
    """Every call of a convolution or linear layer: what it read, and what it wrote with its graph."""

    def __init__(self, backbone: Backbone):
        self.calls: dict[str, list[tuple[nn.Module, Tensor, Tensor]]] = {}
        names = {id(w): name for name, w in backbone.prunable().items()}
        self.hooks = [
            layer.register_forward_hook(self._note(names[id(layer.weight)]))
            for layer in backbone.network.modules()
            if id(getattr(layer, "weight", None)) in names
        ]

    def _note(self, name: str):
        def note(layer, inputs, output):
            self.calls.setdefault(name, []).append((layer, inputs[0].detach(), output))

        return note


def rows_of(layer: nn.Module, read: Tensor, b: Tensor, group: int) -> tuple[Tensor, Tensor]:
    """Of one image, the patches [T, c] that a group of the layer reads, and the gradients [T, o] of what it writes."""
    if isinstance(layer, nn.Linear):
        return read.reshape(-1, read.shape[-1]), b.reshape(-1, b.shape[-1])
    channels, written = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    part = read[:, group * channels : (group + 1) * channels]
    patches = F.unfold(part, layer.kernel_size, layer.dilation, layer.padding, layer.stride)[0].T
    return patches, b[0, group * written : (group + 1) * written].flatten(1).T


def explicit(
    source: Source, relative: float, corrected: bool = False, matrix: str = "empirical", largest: int = 10**4
) -> Tensors:
    """Scores by the inverse of each layer's whole matrix, group by group, from a backward pass an image.

    largest: numbers in a group of a weight up to which its layer is inverted.
    """
    weights = source.backbone.prunable()
    factors, whole = {}, {name: [] for name in weights}
    for image, label in zip(source.train.images, source.train.labels, strict=True):
        layers = Layers(source.backbone)
        outputs = source.head(source.backbone(image[None]))[0]
        for hook in layers.hooks:
            hook.remove()
        calls = [(name, *call) for name, of in layers.calls.items() for call in of]
        classes = torch.eye(len(outputs), dtype=outputs.dtype)
        vectors = [outputs.detach() - classes[label]] if matrix == "empirical" else classes
        for v in vectors:
            wanted = [output for *_, output in calls] + list(weights.values())
            found = torch.autograd.grad(outputs @ v, wanted, retain_graph=True)
            for (name, layer, read, _), b in zip(calls, found, strict=False):
                for group in range(getattr(layer, "groups", 1)):
                    factors.setdefault((name, group), []).append(rows_of(layer, read, b, group))
            for name, g in zip(weights, found[len(calls) :], strict=True):
                whole[name].append(g.flatten())
    whole = {name: torch.stack(g) for name, g in whole.items()}
    curvature = torch.cat([g.square().sum(0) for g in whole.values()]) / COUNT
    damping = relative * curvature[curvature > 0].median()
    inverses: dict[str, list[Tensor]] = {}
    for (name, group), pairs in factors.items():
        if pairs[0][0].shape[1] * pairs[0][1].shape[1] > largest:
            continue
        a, b = (torch.cat(rows) for rows in zip(*pairs, strict=True))
        a, g = a.T @ a / len(a), b.T @ b / COUNT
        f = torch.kron(g, a)
        if corrected:
            u = torch.kron(torch.linalg.eigh(g)[1], torch.linalg.eigh(a)[1])
            per_sample = whole[name].unflatten(1, (-1, len(f)))[:, group]
            f = u @ torch.diag((per_sample @ u).square().sum(0) / COUNT) @ u.T
        inverses.setdefault(name, []).append(torch.linalg.inv(f + damping * torch.eye(len(f)).to(f)).diagonal())
    return {
        name: w.detach().square() / 2 / torch.cat(inverses[name]).view(w.shape)
        for name, w in weights.items()
        if name in inverses
    }


def assert_close(found: Tensors, expected: Tensors, tolerance: float) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].shape == values.shape
        torch.testing.assert_close(found[name].double(), values.double(), rtol=tolerance, atol=0, msg=name)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Several batches of images, and several parts of each."""
    monkeypatch.setattr(gradients, "IMAGES_AT_ONCE", 3)
    monkeypatch.setattr(kronecker, "NUMBERS_AT_ONCE", 300)


@pytest.mark.parametrize("corrected", [False, True], ids=["kfac", "corrected"])
@pytest.mark.parametrize("kind", [*BACKBONES, "grouped"])
def test_scores_are_their_formula(kind, corrected):
    source = source_of(Grouped() if kind == "grouped" else kind)
    found = kfac(source, relative=RELATIVE, corrected=corrected, samples=COUNT)
    assert_close(found, explicit(source, RELATIVE, corrected), 1e-8)


@pytest.mark.parametrize("corrected", [False, True], ids=["kfac", "corrected"])
def test_every_class_counts_in_the_gauss_newton_matrix(corrected):
    source = source_of("conv")
    found = kfac(source, relative=RELATIVE, corrected=corrected, matrix="ggn", samples=COUNT)
    assert_close(found, explicit(source, RELATIVE, corrected, "ggn"), 1e-8)


@pytest.mark.parametrize("corrected", [False, True], ids=["kfac", "corrected"])
@pytest.mark.parametrize("kind", BACKBONES)
def test_float32_scores_are_close(kind, corrected):
    found = kfac(source_of(kind, torch.float32), corrected=corrected, samples=COUNT)
    assert all(values.dtype == torch.float32 for values in found.values())
    assert_close(found, kfac(source_of(kind), corrected=corrected, samples=COUNT), 1e-4)


def test_a_weight_without_factors_has_its_damped_diagonal():
    source = source_of(Odd())
    source.backbone.matrices = frozenset({"conv.weight", "transposed.weight", "unheard.weight"})
    with pytest.warns(UserWarning, match="image by image.*transposed"):
        found = {corrected: kfac(source, corrected=corrected, samples=COUNT) for corrected in (False, True)}
        diagonal = damped(source, samples=COUNT)
    for scores in found.values():
        for name in ("transposed.weight", "unheard.weight"):
            torch.testing.assert_close(scores[name], diagonal[name])
        assert (scores["conv.weight"] < 0.999 * diagonal["conv.weight"]).any()
    unheard = source.weights()["unheard.weight"].square() / 2 * source.record["damping"]
    torch.testing.assert_close(found[True]["unheard.weight"], unheard)


def test_the_product_is_the_curvature_where_there_is_one_position_and_factors_are_independent():
    """Every a meets every b: the mean of b bᵀ ⊗ a aᵀ is the product of the means."""
    torch.manual_seed(0)
    a, b = torch.randn(4, 3).double(), torch.randn(5, 2).double()
    use = Linear(a.repeat_interleave(5, 0)[:, None], torch.empty(2, 3).double())
    gradient = Products(use.weight, 20, [(use, b.repeat(4, 1)[:, None])])
    factors = kronecker.Factors()
    factors.add(gradient)
    rows = gradient.materialise().flatten(1)
    inverse = torch.linalg.inv(rows.T @ rows / 20 + 0.1 * torch.eye(6)).diagonal().view(2, 3)
    torch.testing.assert_close(factors.eigenbases(20).inverse_diagonal(0.1), inverse)


@pytest.mark.parametrize("corrected", [False, True], ids=["kfac", "corrected"])
def test_much_damping_leaves_the_magnitude(corrected):
    source = source_of("conv")
    found = kfac(source, relative=1e9, corrected=corrected, samples=COUNT)
    half = {name: w.square() / 2 * source.record["damping"] for name, w in source.weights().items()}
    assert_close(found, half, 1e-6)


@pytest.mark.parametrize("corrected", [False, True], ids=["kfac", "corrected"])
@pytest.mark.parametrize(("name", "largest"), [("resnext", 800), ("convnext", 800), ("vit", 1800), ("swin", 800)])
def test_real_layouts(name, largest, corrected):
    """In the layout of `build_backbone`, which is channels last; of layers that can be inverted in a moment."""
    architecture, options, size = FAMILIES[name]
    backbone = reference.backbone_of(network_of(architecture, **options)).double()
    images = reference.images_of(size, COUNT)
    train = Split(images, torch.arange(COUNT) % CLASSES, ("a", "b", "c"))
    source = Source(backbone, reference.head_of(backbone, images), train)
    found = kfac(source, relative=RELATIVE, corrected=corrected, samples=COUNT)
    expected = explicit(source, RELATIVE, corrected, largest=largest)
    assert len(expected) >= 2
    assert_close({name: found[name] for name in expected}, expected, 1e-8)
