"""Pruning in one call: any model, images in any form, and the same numbers as the study's stages."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torchvision.models import VisionTransformer
from unit.networks import BACKBONES, SIZE, backbone_of, images_of

from prunetransfer import prune
from prunetransfer.criteria.features import features
from prunetransfer.criteria.magnitude import magnitude
from prunetransfer.criteria.source import Source
from prunetransfer.deploy.inputs import unlabelled
from prunetransfer.deploy.model import Model
from prunetransfer.deploy.recipe import Material, Recipe, made, ranking_of
from prunetransfer.pruning.apply import mask_tensors
from prunetransfer.pruning.making import make_mask
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.reconstruct import reconstruct

PAGE = Path(__file__).parents[2] / "docs/python.md"
IMAGES = images_of(24)
AT_ONCE = {"rounds": 1, "recovery": "reconstruct"}


class Small(nn.Module):
    """Two convolutions, a linear layer and a classifier, on images of any number of channels."""

    def __init__(self, channels: int = 3, classes: int = 5) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU())
        self.neck = nn.Linear(8, 6)
        self.fc = nn.Linear(6, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.relu(self.neck(self.body(x).mean((2, 3)))))


class Stream(IterableDataset):
    def __iter__(self):
        yield from zip(INPUTS, LABELS, strict=True)


torch.manual_seed(0)
INPUTS, LABELS = torch.randn(24, 3, 12, 12), torch.arange(24) % 5
MODEL = Small().train()


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.named_parameters() if tensor.dim() > 1}


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(a.equal(b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def zeros(model: nn.Module, *names: str) -> int:
    return sum(int((tensor == 0).sum()) for name, tensor in weights_of(model).items() if name in names)


@pytest.mark.parametrize("kind", BACKBONES)
def test_the_same_mask_and_weights_as_of_the_study(kind):
    """What the stages do to prepared images, the call does to pixels, bit for bit."""
    dense = backbone_of(kind)
    source = Source(dense, None, IMAGES, 0, (3, SIZE, SIZE))
    scores = {name: values.numpy() for name, values in features(source, samples=16).items()}
    mask = make_mask(Ranking(scores), 0.5)
    pruned, keep = copy.deepcopy(dense), mask_tensors(mask, dense.device)
    pruned.prune(keep)
    reconstruct(Case(pruned, dense, keep, None, IMAGES, 0), samples=16)
    mean, std = dense.mean.flatten().tolist(), dense.std.flatten().tolist()
    found = prune(dense.network, 0.5, IMAGES.images, samples=16, procedural=0, mean=mean, std=std, **AT_ONCE)
    assert found.state_dict().keys() == pruned.network.state_dict().keys()
    assert same(found, pruned.network)


def test_the_model_stays_as_it_is():
    MODEL.neck.weight.requires_grad_(False)
    before = copy.deepcopy(MODEL)
    small = prune(MODEL, 0.5, INPUTS)
    assert same(MODEL, before)
    assert MODEL.training and not small.training
    assert not MODEL.neck.weight.requires_grad and MODEL.fc.weight.requires_grad
    assert [p.requires_grad for p in small.parameters()] == [p.requires_grad for p in MODEL.parameters()]
    MODEL.neck.weight.requires_grad_(True)


def test_so_many_weights_go_and_the_classifier_stays():
    everything = prune(MODEL, 0.3, INPUTS)
    total = sum(tensor.numel() for tensor in weights_of(MODEL).values())
    assert zeros(everything, *weights_of(MODEL)) == round(0.3 * total)
    but_fc = prune(MODEL, 0.3, INPUTS, classifier="fc")
    assert but_fc.fc.weight.equal(MODEL.fc.weight)
    assert zeros(but_fc, *weights_of(MODEL)) == round(0.3 * (total - MODEL.fc.weight.numel()))
    but_two = prune(MODEL, 0.3, INPUTS, classifier="fc", exclude=["neck.*"])
    assert zeros(but_two, "neck.weight", "fc.weight") == 0


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


def test_more_is_kept_than_by_magnitude_alone():
    inputs = torch.randn(64, 3, 12, 12)
    images, unseen = inputs[:32], inputs[32:]
    expected = MODEL.eval()(unseen)
    MODEL.train()
    bare = prune(MODEL, 0.6, images, score="magnitude", rounds=1, recovery=None)
    kept = prune(MODEL, 0.6, images)
    lost = [(model(unseen) - expected).norm().item() for model in (bare, kept)]
    assert lost[1] < 0.7 * lost[0]


def test_the_parts_make_the_whole():
    scores = prune.scores(MODEL, INPUTS)
    masks = prune.masks(scores, 0.5)
    assert same(prune.recovered(MODEL, masks, INPUTS), prune(MODEL, 0.5, INPUTS, **AT_ONCE))
    assert {name: values.shape for name, values in scores.items()} == {n: w.shape for n, w in weights_of(MODEL).items()}
    bare = prune.recovered(MODEL, masks, INPUTS, recovery=None)
    assert all((weights_of(bare)[name] != 0).equal(keep) for name, keep in masks.items())


def test_labels_and_heads_for_what_reads_them():
    given = {"labels": LABELS, "rounds": 1, "recovery": "compensate"}
    of_tensor = prune(MODEL, 0.5, INPUTS, score="block", classifier="fc", **given)
    of_dataset = prune(
        MODEL, 0.5, TensorDataset(INPUTS, LABELS), score="block", classifier="fc", rounds=1, recovery="compensate"
    )
    assert same(of_tensor, of_dataset)
    fitted = prune(MODEL, 0.5, INPUTS, score="block", **given)  # no classifier is named: a ridge head on the outputs
    assert not same(of_tensor, fitted)


def test_functions_of_one_s_own():
    seen = []

    def mine(case: Case) -> None:
        seen.append(case.images(4).shape)

    small = prune(MODEL, 0.5, INPUTS, score=partial(features, relative=1e6), rounds=1, recovery=None)
    by_size = prune(MODEL, 0.5, INPUTS, score=magnitude, rounds=1, recovery=None)
    assert same(small, by_size)  # λ outweighs all curvature

    def with_labels(source: Source) -> dict[str, Tensor]:
        seen.append(source.head.weight.shape)
        return {name: weight.abs() for name, weight in source.weights().items()}

    prune(MODEL, 0.5, INPUTS, labels=LABELS, score=with_labels, rounds=1, recovery=mine, classifier="fc")
    assert seen == [(6, 5), (4, 3, 12, 12)]


def test_convolutions_compute_as_in_a_study_and_as_before_afterwards(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen = []

    def watched(source: Source) -> dict[str, Tensor]:
        seen.append(torch.backends.cudnn.allow_tf32)
        return magnitude(source)

    prune(MODEL, 0.5, INPUTS, score=watched, rounds=1, recovery=None, labels=LABELS)
    prune.scores(MODEL, INPUTS, score=watched, labels=LABELS)
    assert seen == [False, False]
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("images", "arguments", "what"),
    [
        (INPUTS, {"score": "feature"}, "Did you mean 'features'"),
        (INPUTS, {"recovery": "refined"}, "Did you mean 'refine'"),
        (INPUTS, {"mask": "chanels"}, "Did you mean 'channels'"),
        (INPUTS, {"mask": {"allocation": "lamps"}}, "mask allocation 'lamps': Input should be 'global'"),
        (INPUTS, {"mask": {"alocation": "lamp"}}, "Did you mean 'allocation'"),
        (INPUTS, {"mask": "2:4", "rounds": 2}, "with rounds=1"),
        (INPUTS, {"mask": "1:4"}, "a 1:4 mask has 0.75"),
        (INPUTS, {"mask": "channels", "recovery": "refine"}, "would leave the pattern"),
        (INPUTS, {"rounds": 0}, "at least 1"),
        (INPUTS, {"score": "block"}, "rounds=1"),
        (INPUTS, {"score": "block", "rounds": 1, "recovery": None}, "give labels="),
        (INPUTS, {"recovery": "finetune"}, "reads labels"),
        (INPUTS, {"labels": LABELS[:3], "score": "damped"}, "one class number an image"),
        (INPUTS, {"classifier": "head"}, "its last linear ones are ['neck', 'fc']"),
        (INPUTS, {"exclude": ["nothing"]}, "matches none"),
        (INPUTS, {"procedural": 8}, "mean= and std="),
        (None, {}, "or give images="),
        (None, {"procedural": 0, "size": 12, "mean": [0.5] * 3, "std": [0.2] * 3}, "nothing to prune with"),
        (INPUTS, {"samples": 0}, "samples 0"),
        (INPUTS, {"procedural": -1}, "procedural -1"),
        (INPUTS.long(), {}, "torch.int64"),
        (INPUTS.to(torch.uint8), {}, "give mean=, std="),
        (INPUTS[:0], {}, "of shape [0, 3, 12, 12]"),
        (INPUTS / 0, {}, "NaN or infinite"),
        (INPUTS[:, :1], {}, "reads 3 channels"),
        ([(INPUTS[0], INPUTS[0], 1)], {}, "several inputs"),
        ([INPUTS[0], INPUTS[0, :, :6]], {}, "all must be of one"),
        ([1, 2], {}, "holds a int"),
        ({"images": INPUTS}, {}, "is a dict"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(images, arguments, what):
    with pytest.raises(ValueError, match=re.escape(what)) as error:
        prune(MODEL, 0.5, images, **arguments)
    assert "\n" not in str(error.value)


def test_a_model_without_whole_channels_is_smaller_and_says_the_same():
    """As the masked model, which has all of its channels, of any batch; the width of the features stays."""
    torch.manual_seed(0)
    model = timm.create_model("resnet18", layers=[1, 1, 1, 1], channels=[16, 32, 32, 32], num_classes=7)
    images, wanted = torch.randn(24, 3, 32, 32), {"pattern": "channels", "budget": "multiply_adds"}
    small = prune(model, 0.4, images, mask=wanted, procedural=0)
    assert type(small) is type(model) and small.fc.weight.equal(model.fc.weight)
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in (small, model)]
    assert sizes[0] < 0.9 * sizes[1]
    material = Material(Model.of(model, None).backbone(images, (), torch.device("cpu")), unlabelled(images))
    recipe = Recipe(mask=wanted)
    assert (recipe.rounds, recipe.recovery) == (1, "reconstruct")
    _, masked = made(material, recipe, ranking_of(material, recipe), 0.4)
    for batch in (images, images[:1]):
        expected = model.fc(masked(batch))
        torch.testing.assert_close(small(batch), expected, rtol=1e-4, atol=1e-5)


def test_two_of_four_and_layer_budgets():
    small = prune(MODEL, 0.5, INPUTS, mask="2:4")
    assert (small.body[2].weight != 0).unflatten(1, (2, 4)).sum(2).max() == 2 and (small.body[0].weight != 0).all()
    erk = prune(MODEL, 0.5, INPUTS, mask={"allocation": "erk"}, **AT_ONCE)
    at_once = prune(MODEL, 0.5, INPUTS, **AT_ONCE)
    layers = ("body.0.weight", "body.2.weight", "neck.weight")
    assert zeros(erk, *layers) >= 420  # of 840; a unit that is always zero leaves more
    assert zeros(erk, "neck.weight") < zeros(at_once, "neck.weight")


def test_scores_alone_do_not_say_what_goes_together():
    with pytest.raises(ValueError, match="scores alone do not say which weights go together; use prune"):
        prune.masks(prune.scores(MODEL, INPUTS), 0.3, "channels")


def test_an_unknown_argument_and_a_refined_mask_are_refused():
    with pytest.raises(TypeError, match="Did you mean 'samples'"):
        prune(MODEL, 0.5, INPUTS, sample=3)
    with pytest.raises(ValueError, match="give it to `prune`"):
        prune.recovered(MODEL, {}, INPUTS, recovery="refine")


def test_a_sparsity_is_refused_before_anything_is_computed():
    def mine(source: Source) -> dict[str, Tensor]:
        raise AssertionError("a score was computed")

    with pytest.raises(ValueError, match="sparsity 1"):
        prune(MODEL, 1, INPUTS, labels=LABELS, score=mine, rounds=1, recovery=None)


def test_a_score_without_data_sees_the_shape_of_the_inputs():
    gray = Small(channels=1)
    bare = {"rounds": 1, "recovery": None}
    small = prune(gray, 0.5, torch.randn(1, 1, 12, 12), score="synflow", **bare)
    assert zeros(small, *weights_of(gray)) == round(0.5 * sum(tensor.numel() for tensor in weights_of(gray).values()))


def test_the_package_alone_imports_no_torch():
    code = "import sys, prunetransfer; assert 'torch' not in sys.modules; assert callable(prunetransfer.prune)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_page_s_examples_run():
    names: dict = {}
    for code in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        exec(compile(code, "docs/python.md", "exec"), names)
    kept = sum(int(keep.sum()) for keep in names["masks"].values())
    assert kept == round(0.5 * sum(keep.numel() for keep in names["masks"].values()))
