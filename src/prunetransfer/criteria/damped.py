"""The diagonal with one damping for the whole backbone."""

from __future__ import annotations

from prunetransfer.criteria.source import Scores, Source
from prunetransfer.curvature.diagonal import damped_scores, damping_of, mean_squares
from prunetransfer.settings.registry import score
from prunetransfer.settings.types import LabelDraws, Loss, Matrix, Relative, Samples, Sampling


@score(sees="labels", quadratic=True)
def damped(
    source: Source,
    *,
    relative: Relative = 3.0,
    loss: Loss = "squared",
    matrix: Matrix = "empirical",
    draws: LabelDraws = None,
    samples: Samples = 256,
    sampling: Sampling = "balanced",
) -> Scores:
    """½ w_j² (F_jj + λ): diagonal curvature with the same damping for all weights, on the scale of the backbone's own.

    A weight without curvature on the source is ranked by its magnitude, and no λ has to be searched for where another
    backbone or loss has curvature of another scale. F as of `diagonal`; with an absolute λ it is CAP's score with
    blocks of one weight (Kuznedelev et al. 2023).
    """
    drawn = source.draw(samples, sampling)
    curvature = mean_squares(source.gradients(drawn, loss, matrix, draws), len(drawn.labels))
    damping = source.record["damping"] = damping_of(curvature, relative)
    return damped_scores(source.weights(), curvature, damping)
