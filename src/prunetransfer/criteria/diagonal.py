"""The loss increase when each weight alone goes."""

from __future__ import annotations

from prunetransfer.criteria.source import Scores, Source
from prunetransfer.curvature.diagonal import mean_squares
from prunetransfer.settings.registry import score
from prunetransfer.settings.types import LabelDraws, Loss, Matrix, Samples, Sampling


@score(sees="labels", quadratic=True)
def diagonal(
    source: Source,
    *,
    loss: Loss = "squared",
    matrix: Matrix = "empirical",
    draws: LabelDraws = None,
    samples: Samples = 256,
    sampling: Sampling = "balanced",
) -> Scores:
    """½ w_j² F_jj: the loss increase when each weight alone goes, curvature taken as diagonal.

    F is the matrix of second derivatives of the loss on some source images, by one of `grad_outputs`. Optimal Brain
    Damage (LeCun, Denker, Solla 1989).
    """
    drawn = source.draw(samples, sampling)
    curvature = mean_squares(source.gradients(drawn, loss, matrix, draws), len(drawn.labels))
    return {name: 0.5 * w.square() * curvature[name] for name, w in source.weights().items()}
