"""How far the features move when a weight goes: no labels, no head, no task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from prunetransfer.criteria.source import Scores, Source
from prunetransfer.curvature.diagonal import damped_scores, damping_of, mean_squares
from prunetransfer.curvature.gradients import LayerGradient
from prunetransfer.curvature.unit_increases import quadratic
from prunetransfer.datasets.splits import Split
from prunetransfer.heads import Head
from prunetransfer.models.backbones import extract_features
from prunetransfer.settings.registry import score
from prunetransfer.settings.types import Count, Relative, Unlabelled
from prunetransfer.structure.units import Units

Directions = Annotated[Count, Field(description="Random directions of the features an image.")]
Whiten = Annotated[
    bool,
    Field(
        description="Whether features are measured in units of how they vary over the images, so that the "
        "directions of large variance do not outweigh the others."
    ),
]

# Over the mean variance, added to the covariance that features are whitened by: directions in which the images hardly
# differ would otherwise outweigh all others.
LEAST_VARIANCE = 0.01


def unit_increases(
    source: Source,
    units: Units,
    *,
    relative: Relative = 3.0,
    draws: Directions = 1,
    whiten: Whiten = False,
    samples: Unlabelled = 256,
) -> list[np.ndarray]:
    """½ w_gᵀ (F + λI) w_g of `quadratic`, with F and λ as in `features`: how far these move when a unit goes whole."""
    drawn = source.draw(samples)
    images = len(drawn.labels)
    curvature = mean_squares(_gradients(source, drawn, draws, whiten), images)
    damping = source.record["damping"] = damping_of(curvature, relative)
    return quadratic(units, source.weights(), _gradients(source, drawn, draws, whiten), images, damping)


@score(sees="images", quadratic=True, units=unit_increases)
def features(
    source: Source,
    *,
    relative: Relative = 3.0,
    draws: Directions = 1,
    whiten: Whiten = False,
    samples: Unlabelled = 256,
) -> Scores:
    """½ w_j² (F_jj + λ), F the Gauss–Newton matrix of the backbone's features themselves, which asks for no labels.

    F_jj = E_x E_v[(∂ vᵀφ(x)/∂w_j)²] with v ~ N(0, I): by how much ½‖φ(x)‖² of the change grows. The expectation over v
    is by draws (Hutchinson 1990), that over x by `samples` images. SnapViT (2025) prunes by a label-free curvature too.
    """
    drawn = source.draw(samples)
    curvature = mean_squares(_gradients(source, drawn, draws, whiten), len(drawn.labels))
    damping = source.record["damping"] = damping_of(curvature, relative)
    return damped_scores(source.weights(), curvature, damping)


def _gradients(source: Source, drawn: Split, draws: int, whiten: bool) -> Iterator[Mapping[str, LayerGradient]]:
    """(∂ vᵀφ(x)/∂w) of each image and draw; the same ones at each call."""
    phi = extract_features(source.backbone, drawn.images)
    matrix = whitening(phi) if whiten else torch.eye(phi.shape[1]).to(phi)
    identity = Head(matrix, phi.new_zeros(phi.shape[1]), None)
    return source.gradients(drawn, "squared", "fisher", draws, head=identity)


def whitening(features: Tensor) -> Tensor:
    """C^(-1/2) [d, d], C the covariance of features [n, d] plus LEAST_VARIANCE of its mean variance times I.

    The symmetric root: it does not depend on the signs that a device gives to eigenvectors.
    """
    covariance = features.double().T.cov(correction=0)
    covariance.diagonal().add_(LEAST_VARIANCE * covariance.diagonal().mean())
    variances, directions = torch.linalg.eigh(covariance)
    return (directions / variances.sqrt() @ directions.T).to(features.dtype)
