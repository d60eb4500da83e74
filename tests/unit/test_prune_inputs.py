"""Pruning in one call: images in any form, any number or none, and models of other inputs and layers."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torchvision.models import VisionTransformer
from unit.small import AT_ONCE, INPUTS, LABELS, MODEL, Small, same, weights_of, zeros

from prunetransfer import prune


class Stream(IterableDataset):
    def __iter__(self):
        yield from zip(INPUTS, LABELS, strict=True)


@pytest.mark.parametrize(
    "images",
    [
        [(x, int(y)) for x, y in zip(INPUTS, LABELS, strict=True)],
        TensorDataset(INPUTS, LABELS),
        TensorDataset(INPUTS),
        DataLoader(TensorDataset(INPUTS, LABELS), batch_size=7),
        DataLoader(INPUTS, batch_size=24),
        Stream(),
    ],
    ids=["list", "dataset", "without labels", "loader", "loader of tensors", "stream"],
)
def test_the_form_of_the_images_does_not_matter(images):
    assert same(prune(MODEL, 0.5, images, **AT_ONCE), prune(MODEL, 0.5, INPUTS, **AT_ONCE))


def test_a_loader_is_read_no_further_than_needed():
    read = []

    class Counted(TensorDataset):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    prune(MODEL, 0.5, DataLoader(Counted(INPUTS), batch_size=4), samples=6, **AT_ONCE)
    assert len(read) == 8
    read.clear()
    prune(MODEL, 0.5, Counted(INPUTS), samples=6, **AT_ONCE)
    assert len(read) == 6 and read != list(range(6))


def test_pixels_of_either_layout_are_normalised():
    pixels = torch.randint(256, (16, 12, 12, 3), dtype=torch.uint8)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    floats = (pixels.permute(0, 3, 1, 2) / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    given = {"mean": mean, "std": std, "procedural": 0, **AT_ONCE}
    last, first = (prune(MODEL, 0.5, x, **given) for x in (pixels, pixels.permute(0, 3, 1, 2)))
    assert same(last, first)
    for a, b in zip(last.parameters(), prune(MODEL, 0.5, floats, **given).parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_other_channels_and_half_precision():
    gray = Small(channels=1).half()
    small = prune(gray, 0.5, torch.randn(16, 1, 12, 12))
    assert {p.dtype for p in small.parameters()} == {torch.float16}
    total = sum(tensor.numel() for tensor in weights_of(gray).values())
    assert zeros(small, *weights_of(gray)) >= round(0.5 * total)  # a small weight may round to zero


def test_without_data_timm_says_how_images_look():
    model = timm.create_model(
        "resnet18", num_classes=7, layers=(1, 1, 1, 1), channels=(8, 8, 16, 16), stem_width=8, zero_init_last=False
    )
    small, again = (prune(model, 0.5, size=32, samples=12) for _ in range(2))
    assert same(small, again)
    assert not same(small, prune(model, 0.5, size=32, samples=12, seed=1))
    assert small.fc.weight.equal(model.fc.weight)
    assert small(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)), (6,)),
        (nn.Sequential(nn.Conv1d(2, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()), (2, 9)),
        (VisionTransformer(16, 8, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=12), (3, 16, 16)),
        (timm.create_model("convnext_atto", num_classes=4, depths=(1,) * 4, dims=(4, 4, 8, 8)), (3, 32, 32)),
    ],
    ids=["vectors", "sequences", "PyTorch's attention", "ConvNeXt"],
)
def test_models_of_other_inputs_and_layers(model, inputs):
    torch.manual_seed(0)
    for parameter in model.parameters():  # where they begin at zero no gradient passes
        nn.init.normal_(parameter, std=0.3)
    small, x = prune(model, 0.5, torch.randn(20, *inputs), rounds=1), torch.randn(3, *inputs)
    assert small(x).shape == model.eval()(x).shape and not small(x).equal(model(x))
    weights = [p for p in small.parameters() if p.dim() > 1]
    assert 0.3 < sum(int((p == 0).sum()) for p in weights) / sum(p.numel() for p in weights) <= 0.5


def test_timm_says_which_size_a_model_was_built_for():
    sizes = {"img_size": 16, "patch_size": 8, "embed_dim": 12, "depth": 1, "num_heads": 2}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=3, **sizes)
    assert prune(model, 0.5, samples=6, rounds=1)(torch.zeros(1, 3, 16, 16)).shape == (1, 3)


def test_a_score_without_data_sees_the_shape_of_the_inputs():
    gray = Small(channels=1)
    bare = {"rounds": 1, "recovery": None}
    small = prune(gray, 0.5, torch.randn(1, 1, 12, 12), score="synflow", **bare)
    assert zeros(small, *weights_of(gray)) == round(0.5 * sum(tensor.numel() for tensor in weights_of(gray).values()))
