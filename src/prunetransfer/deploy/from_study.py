"""A pruned backbone of a finished study, from its files."""

from __future__ import annotations

from pathlib import Path

import torch

from prunetransfer.datasets.splits import read_split
from prunetransfer.deploy.facts import facts
from prunetransfer.deploy.pruned import PrunedModel
from prunetransfer.deploy.study import Choice, Study
from prunetransfer.heads import read_head
from prunetransfer.heads.own import own_classifier_of
from prunetransfer.models.backbones import Backbone, load_backbone, load_state
from prunetransfer.pruning.apply import load_mask
from prunetransfer.pruning.masks import read_mask
from prunetransfer.stages import paths
from prunetransfer.storage.artifacts import read_tensors
from prunetransfer.structure.units import Units, read_units

CHECKED = 8  # images that each format is compared on
CPU = torch.device("cpu")


def pruned_model(study: Study, choice: Choice, safest: bool = False) -> PrunedModel:
    """The chosen backbone with its heads, and what the study says of it.

    safest: it was chosen as the safest of the study, which the guarantee has to say. Raises ValueError for what the
    study does not have, in one line.
    """
    study.check(choice)
    names, entry, targets = study.names, study.config["backbones"][choice.backbone], study.config["targets"]
    weights = study.made(names["weights_file"](choice.backbone))
    splits = {task: read_split(study.made(names["images"](task, choice.backbone, "train"))) for task in targets}
    return PrunedModel(
        backbone=_backbone(study, choice, weights),
        entry=entry,
        mask=read_mask(study.mask_file(choice)),
        images=splits[targets[0]].images[:CHECKED].clone(),
        facts=facts(study, choice, weights, safest),
        classifier=own_classifier_of(read_tensors(weights)),
        heads={task: read_head(study.made(names["head"](task, choice.backbone)), CPU) for task in targets},
        classes={task: split.classes for task, split in splits.items()},
        units=_units(study, choice),
    )


def _units(study: Study, choice: Choice) -> Units | None:
    files = study.names["units_of"](choice)
    return read_units(study.made(files["units"])) if files else None


def _backbone(study: Study, choice: Choice, weights: Path) -> Backbone:
    """Pruned, with the weights that its recovery or pruning in steps left."""
    backbone = load_backbone(study.names["network"](choice.backbone), weights, CPU)
    if choice.recovery != "none":
        load_state(backbone, study.file(paths.RECOVERED, choice))
    elif study.names["steps"](choice.job.score):
        load_state(backbone, study.file(paths.STEPPED, choice))
    else:
        backbone.prune(load_mask(study.mask_file(choice), CPU))
    return backbone
