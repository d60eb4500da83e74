"""How far the features move when a weight goes: no labels, no head, no task."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from prunetransfer.criteria.source import Scores, Source
from prunetransfer.curvature.diagonal import damped_scores, damping_of, mean_squares
from prunetransfer.heads import Head
from prunetransfer.models.backbones import extract_features
from prunetransfer.settings.registry import score
from prunetransfer.settings.types import Count, Relative, Unlabelled

# Over the mean variance, added to the covariance that features are whitened by: directions in which the images hardly
# differ would otherwise outweigh all others.
LEAST_VARIANCE = 0.01


@score(sees="images", quadratic=True)
def features(
    source: Source,
    *,
    relative: Relative = 3.0,
    draws: Annotated[Count, Field(description="Random directions of the features an image.")] = 1,
    whiten: Annotated[
        bool,
        Field(
            description="Whether features are measured in units of how they vary over the images, so that the "
            "directions of large variance do not outweigh the others."
        ),
    ] = False,
    samples: Unlabelled = 256,
) -> Scores:
    """½ w_j² (F_jj + λ), F the Gauss–Newton matrix of the backbone's features themselves, which asks for no labels.

    F_jj = E_x E_v[(∂ vᵀφ(x)/∂w_j)²] with v ~ N(0, I): by how much ½‖φ(x)‖² of the change grows. The expectation over v
    is by draws (Hutchinson 1990), that over x by `samples` images. SnapViT (2025) prunes by a label-free curvature too.
    """
    drawn = source.draw(samples)
    phi = extract_features(source.backbone, drawn.images)
    matrix = whitening(phi) if whiten else torch.eye(phi.shape[1]).to(phi)
    identity = Head(matrix, phi.new_zeros(phi.shape[1]), None)
    gradients = source.gradients(drawn, "squared", "fisher", draws, head=identity)
    curvature = mean_squares(gradients, len(drawn.labels))
    damping = source.record["damping"] = damping_of(curvature, relative)
    return damped_scores(source.weights(), curvature, damping)


def whitening(features: Tensor) -> Tensor:
    """C^(-1/2) [d, d], C the covariance of features [n, d] plus LEAST_VARIANCE of its mean variance times I.

    The symmetric root: it does not depend on the signs that a device gives to eigenvectors.
    """
    covariance = features.double().T.cov(correction=0)
    covariance.diagonal().add_(LEAST_VARIANCE * covariance.diagonal().mean())
    variances, directions = torch.linalg.eigh(covariance)
    return (directions / variances.sqrt() @ directions.T).to(features.dtype)
