"""A study with a file of the user's own: it runs, and an edit runs again what uses it."""

from __future__ import annotations

import re

import yaml

from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.tables import read_table

MINE = '''
from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from PIL import Image
from pydantic import Field

from prunetransfer.curvature.diagonal import mean_squares
from prunetransfer.datasets.samples import Samples
from prunetransfer.evaluation.readouts import Reading
from prunetransfer.settings import types
from prunetransfer.settings.registry import dataset_kind, readout, recovery, score


@score(sees="labels")
def saliency(
    source,
    *,
    power: Annotated[float, Field(gt=0, description="Of the curvature.")] = 0.5,
    matrix: types.Matrix = "empirical",
    samples: types.Samples = 256,
):
    """F_jj^p |w_j|."""
    drawn = source.draw(samples, "balanced")
    curvature = mean_squares(source.gradients(drawn, "squared", matrix, None), len(drawn.labels))
    return {name: curvature[name] ** power * w.abs() for name, w in source.weights().items()}


@recovery(labels=False)
def shrink(case, *, factor: Annotated[float, Field(gt=0, description="Of all kept weights.")] = 0.9):
    """The kept weights shrink."""
    with torch.no_grad():
        for weight in case.backbone.prunable().values():
            weight.mul_(factor)


@readout(train=True)
def nearest_mean(dense_head, test, train):
    """The class whose mean is nearest."""
    means = torch.stack([train.values[train.labels == k].mean(0) for k in range(len(dense_head.bias))])
    return Reading(-torch.cdist(test.values, means), None)


@dataset_kind()
def greys(split: str, *, images: Annotated[int, Field(ge=2, description="Images of each class.")] = 6):
    """Dark and light images."""
    draw = np.random.default_rng(len(split))
    levels = np.repeat([60, 180], images)
    pixels = [(level + draw.integers(0, 60, (8, 8))).astype(np.uint8) for level in levels]
    return Samples([Image.fromarray(image) for image in pixels], np.repeat([0, 1], images), ["dark", "light"])
'''
OWN = {
    "plugins": ["mine.py"],
    "datasets": {"red": {"kind": "folder", "path": "images/red"}, "grey": {"kind": "greys", "images": 8}},
    "targets": ["red", "grey"],
    "scores": {"magnitude": {}, "saliency": {"samples": 8}},
    "readouts": ["zero_shot", "nearest_mean"],
    "sparsities": [0.4],
    "recoveries": {"none": {}, "shrink": {"scores": ["magnitude"]}},
}


def test_a_study_runs_with_functions_of_ones_own(new_study):
    (new_study.folder / "mine.py").write_text(MINE)
    # On top of a study that it extends.
    (new_study.folder / "base.yaml").write_text(yaml.safe_dump(new_study.config))
    new_study.config = {"extends": "base.yaml", **OWN, "recoveries": OWN["recoveries"] | {"finetune": None}}
    new_study.config |= {"datasets": OWN["datasets"] | {"blue": None, "green": None}}
    new_study.config |= {"scores": OWN["scores"] | {"diagonal": None}}
    new_study.run()
    accuracy = read_table(new_study.folder / "results/tiny/tables/accuracy.parquet", ACCURACY)
    assert set(accuracy["readout"]) == {"zero_shot", "nearest_mean"} and set(accuracy["target"]) == {"red", "grey"}
    assert set(zip(accuracy["score"], accuracy["recovery"], strict=True)) == {
        *(("magnitude", "none"), ("magnitude", "shrink"), ("saliency", "none")),
    }
    assert (accuracy["dense_top1"] > 0.7).all()
    assert new_study.planned() == set()

    new_study.edit("mine.py", '"""The kept weights shrink."""', '"""All that is kept shrinks."""')
    assert new_study.planned() == set()
    new_study.edit("mine.py", "weight.mul_(factor)", "weight.mul_(factor**2)")
    planned = {re.match(r"[^/]+/[^/]+/[^/]+|.*", job)[0] for job in new_study.planned()}
    assert "recovered/shrink@red/net" in planned and "scores/net/saliency@red" in planned
    assert not {job for job in planned if job.startswith(("heads/net/red", "scores/net/magnitude", "images/red"))}
