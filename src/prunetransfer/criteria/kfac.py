"""The loss increase when each weight goes and the rest of its layer may make up for it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from prunetransfer.criteria.source import Scores, Source
from prunetransfer.curvature.diagonal import damping_of, mean_squares
from prunetransfer.curvature.kronecker import Factors, eigenvalue_corrected, take_in
from prunetransfer.settings.registry import score
from prunetransfer.settings.types import LabelDraws, Loss, Matrix, Relative, Samples, Sampling


@score(sees="labels", quadratic=True)
def kfac(
    source: Source,
    *,
    relative: Relative = 3.0,
    corrected: Annotated[
        bool,
        Field(
            description="Whether the eigenvalues of the Kronecker product are replaced by the curvature along its "
            "eigenvectors, which takes a second pass over the images."
        ),
    ] = False,
    loss: Loss = "squared",
    matrix: Matrix = "empirical",
    draws: LabelDraws = None,
    samples: Samples = 256,
    sampling: Sampling = "balanced",
) -> Scores:
    """½ w_j² / [(G⊗A + λI)⁻¹]_jj: the loss increase when each weight goes and the rest of its layer makes up for it.

    G⊗A approximates the part of `diagonal`'s F that is the layer's (`curvature.kronecker`); λ is that of `damped`.
    Optimal Brain Surgeon (Hassibi, Stork 1992) on K-FAC (Martens, Grosse 2015), as in EigenDamage (Wang et al. 2019).
    A weight that no rule of `layers.rules` fits has no factors: its F_jj + λ stands for 1 / [(G⊗A + λI)⁻¹]_jj, as in
    `damped`, and so does that of a weight which no gradient reaches.
    """
    drawn, weights = source.draw(samples, sampling), source.weights()
    images = len(drawn.labels)
    layers: dict[str, Factors] = {}
    curvature = mean_squares(take_in(source.gradients(drawn, loss, matrix, draws), layers), images)
    damping = source.record["damping"] = damping_of(curvature, relative)
    bases = {name: factors.eigenbases(images) for name, factors in layers.items()}
    if corrected:
        gradients = source.gradients(drawn, loss, matrix, draws, names=bases)
        bases = eigenvalue_corrected(bases, gradients, images)
    scores = {}
    for name, w in weights.items():
        inverse = bases[name].inverse_diagonal(damping) if name in bases else 1 / (curvature[name].double() + damping)
        scores[name] = (0.5 * w.double().square() / inverse).to(w.dtype)
    return scores
