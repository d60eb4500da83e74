"""How a backbone is pruned and recovered in one go: a score, a mask made in steps, a recovery."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from prunetransfer.criteria.source import Scores, Source
from prunetransfer.datasets.splits import Split
from prunetransfer.heads import Head
from prunetransfer.models.backbones import Backbone
from prunetransfer.pruning.apply import mask_tensors
from prunetransfer.pruning.making import make_mask, pattern_entry, ranked
from prunetransfer.pruning.masks import Mask
from prunetransfer.pruning.ranking import Ranking
from prunetransfer.recovery.case import Case
from prunetransfer.recovery.reconstruct import reconstruct
from prunetransfer.recovery.refine import refine
from prunetransfer.recovery.steps import prune_in_steps
from prunetransfer.runtime.messages import no_such
from prunetransfer.settings.registry import REGISTRY, Entry, keywords, names
from prunetransfer.structure.units import Units

REFINE, BEST = "refine", "best"


@dataclass(frozen=True)
class Material:
    """What a dense backbone may be pruned with.

    A score or a recovery that reads labels reads those of `images`, and `head`. beside: images of other datasets, for
    what reads no labels. samples: how many of each set it sees, at most.
    """

    backbone: Backbone
    images: Split
    beside: Sequence[Split] = ()
    head: Head | None = None
    samples: int = 256
    seed: int = 0

    @property
    def unlabelled(self) -> list[Split]:
        """All sets of images, without their labels."""
        return [replace(split, labels=None) for split in (self.images, *self.beside)]

    @property
    def image_shape(self) -> Sequence[int]:
        """Of an image as the network is given it."""
        return self.backbone.inputs(self.images.images[:1].to(self.backbone.device)).shape[1:]

    @cached_property
    def units(self) -> Units:
        """The channels, hidden units and heads of the backbone that can be taken out whole."""
        from prunetransfer.structure.dependencies import find_units  # imports timm, by way of Torch-Pruning

        return find_units(self.backbone, self.image_shape)

    def case(self, backbone: Backbone, mask: Mask, labels: bool) -> Case:
        """The case of a pruned backbone. labels: for a recovery that reads labels and the head?"""
        keep = mask_tensors(mask, backbone.device)
        if labels:
            return Case(backbone, self.backbone, keep, self.head, self.images, self.seed)
        train, *beside = self.unlabelled
        return Case(backbone, self.backbone, keep, None, train, self.seed, beside=beside)


@dataclass(frozen=True)
class Recipe:
    """score: a registered one by its name, or a function of `criteria.source.Source`, settings bound by
    `functools.partial`. mask: a pattern, as `unstructured`, `2:4`, `channels`, or one with its settings, as an entry of
    `masks` in a config: `{"pattern": "unstructured", "allocation": "erk"}`. rounds: the steps that it is made in, with
    `reconstruct` between them; None: 4 where the last mask may be refined, else 1. recovery: what is done with
    the last mask: `refine`, which chooses it anew in each layer, a registered recovery or a function of
    `recovery.case.Case`, several joined by `+`, or None; BEST: `refine` where the pattern allows it, else
    `reconstruct`.
    """

    score: str | Callable[..., Scores] = "features"
    mask: str | Mapping[str, Any] = "unstructured"
    rounds: int | None = None
    recovery: str | Callable[..., Any] | None = BEST

    def __post_init__(self) -> None:
        entry = pattern_entry(self.pattern)
        _check_settings(entry, self.settings)
        needs = entry.needs
        if self.rounds is None:
            object.__setattr__(self, "rounds", 4 if needs["refinable"] else 1)
        if self.recovery == BEST:
            object.__setattr__(self, "recovery", REFINE if needs["refinable"] else "reconstruct")
        if self.rounds < 1:
            raise ValueError(f"rounds {self.rounds}: at least 1")
        if self.rounds > 1 and not needs["steps"]:
            raise ValueError(f"rounds {self.rounds}: a {self.pattern} mask is made at once, with rounds=1")
        if self.refined and not needs["refinable"]:
            raise ValueError(f"recovery refine: it would leave the pattern {self.pattern}; allowed is reconstruct")
        if (self.rounds > 1 or self.refined) and not entry_of("scores", self.score).needs["quadratic"]:
            quadratic = [name for name in names("scores") if REGISTRY["scores"][name].needs["quadratic"]]
            raise ValueError(
                f"score {called(self.score)} does not say what it would be of other weights, so it prunes at once: "
                f"rounds=1 and a recovery other than refine. In steps prune {', '.join(quadratic)}"
            )

    @property
    def settings(self) -> Mapping[str, Any]:
        """Of the mask: its pattern, and what else that takes."""
        return {"pattern": self.mask} if isinstance(self.mask, str) else {"pattern": "unstructured", **self.mask}

    @property
    def pattern(self) -> str:
        return self.settings["pattern"]

    @property
    def takes_units(self) -> bool:
        """Does the mask take whole units out?"""
        return pattern_entry(self.pattern).needs["units"]

    @property
    def refined(self) -> bool:
        return isinstance(self.recovery, str) and self.recovery.split("+")[0] == REFINE

    @property
    def recoveries(self) -> list[str | Callable[..., Any]]:
        """What follows the last mask, one after the other."""
        if self.recovery is None:
            return []
        links = self.recovery.split("+") if isinstance(self.recovery, str) else [self.recovery]
        return links[1:] if self.refined else links

    @property
    def sees_images(self) -> bool:
        return entry_of("scores", self.score).needs["sees"] is not None or self.rounds > 1 or self.recovery is not None

    @property
    def reads_labels(self) -> bool:
        needs = [entry_of("recoveries", recovery).needs["labels"] for recovery in self.recoveries]
        return entry_of("scores", self.score).needs["sees"] == "labels" or any(needs)


def _check_settings(entry: Entry, settings: Mapping[str, Any]) -> None:
    """Raise ValueError for a setting that a pattern does not have, or of a value that it does not take."""
    known = get_type_hints(entry.function, include_extras=True)
    names = ["pattern", *(p.name for p in keywords(entry.function) if p.name != "pattern")]
    for name, value in settings.items():
        if name not in names:
            raise ValueError(f"mask: {no_such('setting', name, names, 'known')}")
        try:
            TypeAdapter(known.get(name, str)).validate_python(value, strict=True)
        except ValidationError as error:
            raise ValueError(f"mask {name} {value!r}: {error.errors()[0]['msg']}") from None


def scored(material: Material, score: str | Callable[..., Scores]) -> dict[str, Tensor]:
    """Name → score of each prunable weight, on the CPU. Raises ValueError for a score that lacks what it reads."""
    function = settled(entry_of("scores", score).function, material.samples)
    return {name: values.detach().cpu() for name, values in function(_source(material, score)).items()}


def _source(material: Material, score: str | Callable[..., Scores]) -> Source:
    sees = entry_of("scores", score).needs["sees"]
    of_labels = sees == "labels"
    if of_labels and material.head is None:
        raise ValueError(f"score {called(score)} reads labels; give labels=, and head= where it is not to be fitted")
    return Source(
        material.backbone,
        material.head if of_labels else None,
        material.images if sees else None,
        material.seed,
        material.image_shape,
        () if of_labels or not sees else material.beside,
    )


def ranking_of(material: Material, recipe: Recipe) -> Ranking:
    """What the recipe's masks are made from: scores of single weights or, where whole units go at once, of these, by
    the score's own form for units or summed. Raises ValueError as `scored`."""
    own = entry_of("scores", recipe.score).units
    if recipe.takes_units and recipe.rounds == 1 and own is not None:
        unit_scores = settled(own, material.samples)(_source(material, recipe.score), material.units)
        return Ranking({}, material.units, unit_scores)
    scores = {name: values.numpy() for name, values in scored(material, recipe.score).items()}
    return ranked(scores, material.units if recipe.takes_units else None)


def made(material: Material, recipe: Recipe, ranking: Ranking, sparsity: float) -> tuple[Mask, Backbone]:
    """The mask at a sparsity, and the backbone as it was pruned and recovered by the recipe.

    ranking: of `ranking_of`, the same for all sparsities.
    """
    if recipe.rounds == 1 and not recipe.refined:
        mask, backbone = make_mask(ranking, sparsity, **recipe.settings), copy.deepcopy(material.backbone)
        backbone.prune(mask_tensors(mask, backbone.device))
    else:
        mask, backbone = _in_steps(material, recipe, ranking, sparsity)
    recover(material, backbone, mask, recipe.recoveries)
    return mask, backbone


def _in_steps(material: Material, recipe: Recipe, ranking: Ranking, sparsity: float) -> tuple[Mask, Backbone]:
    train, *beside = material.unlabelled
    return prune_in_steps(
        material.backbone,
        ranking.scores,
        sparsity,
        recipe.rounds,
        partial(reconstruct, samples=material.samples),
        train,
        material.seed,
        beside,
        lambda scores, sparsity: make_mask(ranked(scores, ranking.units), sparsity, **recipe.settings),
        partial(refine, samples=material.samples) if recipe.refined else None,
    )


def recover(material: Material, backbone: Backbone, mask: Mask, recoveries: Sequence[str | Callable[..., Any]]) -> None:
    """Do one recovery after the other to a pruned backbone, in place. Raises ValueError for one that lacks what it
    reads."""
    for recovery in recoveries:
        entry = entry_of("recoveries", recovery)
        labels = entry.needs["labels"]
        if labels and material.head is None:
            raise ValueError(f"recovery {called(recovery)} reads labels; give labels=")
        settled(entry.function, material.samples)(material.case(backbone, mask, labels))


def entry_of(section: str, what: str | Callable[..., Any]) -> Entry:
    """What is registered under a name; a function of the user's own as an entry that says the most of its needs.

    Raises ValueError for a name that is not registered.
    """
    if isinstance(what, str):
        if what not in REGISTRY[section] and what not in names(section):
            noun, more = {"scores": ("score", []), "recoveries": ("recovery", [REFINE])}[section]
            raise ValueError(f"{noun} {what!r}: {no_such(noun, what, [*names(section), *more], 'known')}")
        return REGISTRY[section][what]
    function, bound = (what.func, what.keywords) if isinstance(what, partial) else (what, {})
    known = {entry.function: entry for entry in REGISTRY[section].values()}
    if function not in known:
        return Entry(what, {"sees": "labels", "quadratic": False, "labels": True})
    units = known[function].units
    return Entry(what, known[function].needs, units=units and partial(units, **bound))


def settled(function: Callable[..., Any], samples: int) -> Callable[..., Any]:
    """The function with that many samples, where it takes them and they are not bound yet."""
    bound = function.keywords if isinstance(function, partial) else {}
    takes = {p.name for p in keywords(function)}
    return partial(function, samples=samples) if "samples" in takes - bound.keys() else function


def called(what: str | Callable[..., Any]) -> str:
    """What a score or a recovery is called."""
    return what if isinstance(what, str) else getattr(getattr(what, "func", what), "__name__", repr(what))
