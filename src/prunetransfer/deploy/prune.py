"""Prune a model in one call, or step by step: scores, masks, recovery."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from prunetransfer.criteria.source import Scores
from prunetransfer.datasets.splits import Split
from prunetransfer.deploy.inputs import gathered, normalised, procedural_pixels, unlabelled
from prunetransfer.deploy.model import Model, data_config, device_of
from prunetransfer.deploy.recipe import BEST, Material, Recipe, made, ranking_of, recover, scored
from prunetransfer.heads import Head
from prunetransfer.heads.ridge import fit_ridge
from prunetransfer.models.backbones import Backbone, extract_features
from prunetransfer.models.trial import check_pruned
from prunetransfer.pruning.making import make_mask
from prunetransfer.pruning.masks import check_sparsity
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.runtime.devices import full_precision
from prunetransfer.runtime.messages import no_such

Images = Tensor | Iterable[Any]


@dataclass(frozen=True)
class Inputs:
    """What a model is pruned with, beside its images.

    labels: int64 [n], of images that are a tensor; a dataset's items may bring theirs. head: a linear classifier of the
    features, for what reads labels; None: the model's own, where it has a linear one, else a ridge head fitted on the
    images. samples: how many images are used at most. procedural: as many images made from nothing are used beside them
    (docs/datasets.md); None: as many as `samples`, where size, mean and std are known, else none. classifier: name of
    the submodule that makes answers of features, which stays dense; None: timm's own models say it. exclude: shell
    patterns of weights that stay dense. size, mean, std: pixels of a side, and of each channel in units of the range of
    uint8; timm's own models say them. seed: of what is drawn. device: where to compute; None: where the model is.
    """

    labels: Tensor | None = None
    head: Head | None = None
    samples: int = 256
    procedural: int | None = None
    classifier: str | None = None
    exclude: Sequence[str] = ()
    size: int | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    seed: int = 0
    device: torch.device | str | None = None

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples {self.samples}: at least 1")
        if self.procedural is not None and self.procedural < 0:
            raise ValueError(f"procedural {self.procedural}: at least 0")


@full_precision()
def prune(
    model: nn.Module,
    sparsity: float,
    images: Images | None = None,
    *,
    score: str | Callable[..., Scores] = "features",
    mask: str | Mapping[str, Any] = "unstructured",
    rounds: int | None = None,
    recovery: str | Callable[..., Any] | None = BEST,
    **inputs: Any,
) -> nn.Module:
    """A copy of the model, in evaluation mode, in which `sparsity` of the weights that multiply activations are zero,
    or gone: with `mask="channels"` the copy is smaller and faster.

    model: maps a batch to one tensor [n, d]; it stays as it is. images: a tensor [n, …] as the model takes it, uint8
    pixels [n, h, w, 3] or [n, 3, h, w], or a Dataset or DataLoader of such, labels unneeded; None: images made from
    nothing. score, mask, rounds, recovery: as of `Recipe`; the defaults are what docs/recoveries.md found. inputs: as
    of `Inputs`.

    Raises ValueError for whatever a score, a mask or a recovery refuses, and for a model of other inputs or outputs;
    TypeError for an argument that is none of these.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 8))
    >>> small = prune(model, 0.5, torch.rand(64, 3, 4, 4))
    >>> int((small[1].weight == 0).sum() + (small[3].weight == 0).sum())
    896
    """
    check_sparsity(sparsity)
    recipe = Recipe(score, mask, rounds, recovery)
    given, material = _material(model, images, inputs, recipe)
    found, backbone = made(material, recipe, ranking_of(material, recipe), sparsity)
    keep = {name: torch.from_numpy(kept).to(backbone.device) for name, kept in found.items()}
    check_pruned(backbone, keep, material.images.images[:1])
    if recipe.takes_units:
        from prunetransfer.structure.shrink import shrunk  # imports timm, by way of Torch-Pruning

        backbone = shrunk(backbone, material.units, found)
    return given.put_back(backbone)


@full_precision()
def scores(
    model: nn.Module, images: Images | None = None, *, score: str | Callable[..., Scores] = "features", **inputs: Any
) -> dict[str, Tensor]:
    """Name → score of each weight that may be pruned, in the weight's shape: the lowest go first.

    model, images, score, inputs: as of `prune`.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 8))
    >>> {name: list(values.shape) for name, values in scores(model, torch.rand(64, 3, 4, 4)).items()}
    {'1.weight': [32, 48], '3.weight': [8, 32]}
    """
    _, material = _material(model, images, inputs, Recipe(score, rounds=1, recovery=None))
    return scored(material, score)


def masks(
    scores: Mapping[str, Tensor], sparsity: float, mask: str | Mapping[str, Any] = "unstructured"
) -> dict[str, Tensor]:
    """Name → bool tensor, True where a weight stays. mask: as of `Recipe`, a pattern of single weights.

    Raises ValueError as `make_mask`, and for a pattern that takes whole units out, which `prune` finds in the model.

    >>> masks({"first": torch.tensor([3.0, 1.0]), "second": torch.tensor([2.0, 0.0])}, 0.5)
    {'first': tensor([ True, False]), 'second': tensor([ True, False])}
    """
    recipe = Recipe(mask=mask)
    if recipe.takes_units:
        raise ValueError(f"mask {recipe.pattern}: scores alone do not say which weights go together; use prune")
    ranking = Ranking({name: values.numpy(force=True) for name, values in scores.items()})
    return {name: torch.from_numpy(keep) for name, keep in make_mask(ranking, sparsity, **recipe.settings).items()}


@full_precision()
def recovered(
    model: nn.Module,
    mask: Mapping[str, Tensor],
    images: Images | None = None,
    *,
    recovery: str | Callable[..., Any] | None = "reconstruct",
    **inputs: Any,
) -> nn.Module:
    """A copy of the dense model, pruned by a mask and recovered.

    mask: of `masks`, or of any other program: name → bool tensor for each weight that may be pruned. model, images,
    recovery, inputs: as of `prune`; `refine` alone, which makes a mask, is no recovery here.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 8))
    >>> images = torch.rand(64, 3, 4, 4)
    >>> small = recovered(model, masks(scores(model, images), 0.5), images)
    """
    recipe = Recipe("magnitude", rounds=1, recovery=recovery)
    if recipe.refined:
        raise ValueError("recovery 'refine' makes a mask of its own; give it to `prune`, or recover with another here")
    given, material = _material(model, images, inputs, recipe)
    backbone = copy.deepcopy(material.backbone)
    keep = {name: tensor.to(backbone.device) for name, tensor in mask.items()}
    backbone.prune(keep)
    recover(material, backbone, {name: kept.numpy(force=True) for name, kept in mask.items()}, recipe.recoveries)
    check_pruned(backbone, keep, material.images.images[:1])
    return given.put_back(backbone)


prune.scores, prune.masks, prune.recovered = scores, masks, recovered


def _material(
    model: nn.Module, images: Images | None, inputs: Mapping[str, Any], recipe: Recipe
) -> tuple[Model, Material]:
    names = [field.name for field in fields(Inputs)]
    for name in inputs:
        if name not in names:
            raise TypeError(f"argument {name!r}: {no_such('argument', name, names, 'known')}")
    asked = Inputs(**inputs)
    config = dict(data_config(model)) | {
        key: getattr(asked, key) for key in ("size", "mean", "std") if getattr(asked, key) is not None
    }
    own, labels = (None, None) if images is None else gathered(images, asked.samples, asked.seed, config)
    sets = [] if own is None else [_split(own, labels if asked.labels is None else asked.labels)]
    sets += _made(asked, config, own, recipe.sees_images)
    given, device = Model.of(model, asked.classifier), torch.device(asked.device or device_of(model))
    backbone = given.backbone(sets[0].images, asked.exclude, device)
    train, *beside = sets
    head = None
    if recipe.reads_labels and len(train.classes) > 1:
        head = (asked.head or given.head() or _fitted(backbone, train)).to(device)
    return given, Material(backbone, train, beside, head, asked.samples, asked.seed)


def _made(asked: Inputs, config: Mapping[str, Any], own: Tensor | None, seen: bool) -> list[Split]:
    """The images made from nothing: one set, or none. own: the images that were given; seen: does the recipe see any?

    Raises ValueError where they are needed, or asked for, and cannot be made.
    """
    shape = (3, config.get("size"), config.get("size")) if own is None else tuple(own.shape[1:])
    possible = {"mean", "std"} <= config.keys() and shape == (3, shape[-1], shape[-1]) and shape[-1]
    count = asked.procedural
    if count is None:
        count = asked.samples if seen and (possible or own is None) else 0
    if own is None and not count:
        if seen:
            raise ValueError("there is nothing to prune with: give images=, or procedural= above 0")
        count = 1  # to try the model on
    if not count:
        return []
    if not possible:
        raise ValueError(
            "images made from nothing are squares in colour, of a known size, mean and std: give size=, mean= and "
            "std= where the model does not say them" + ("; or give images=" if own is None else ", or procedural=0")
        )
    return [unlabelled(normalised(procedural_pixels(count, shape[-1], asked.seed), config["mean"], config["std"]))]


def _split(images: Tensor, labels: Tensor | None) -> Split:
    if labels is None:
        return unlabelled(images)
    if labels.shape != (len(images),) or labels.is_floating_point() or labels.min() < 0:
        raise ValueError(f"labels of shape {list(labels.shape)}; there is one class number an image, {len(images)}")
    return Split(images, labels.long().cpu(), tuple(map(str, range(int(labels.max()) + 1))))


def _fitted(backbone: Backbone, train: Split) -> Head:
    features = extract_features(backbone, train.images)
    return fit_ridge(features, train.labels.to(features.device), len(train.classes))
