"""How fast the loss changes as each weight is scaled."""

from __future__ import annotations

from prunetransfer.criteria.source import Scores, Source
from prunetransfer.curvature.mean_loss import gradient
from prunetransfer.curvature.task import Task
from prunetransfer.settings.registry import score
from prunetransfer.settings.types import Loss, Samples, Sampling


@score(sees="labels")
def snip(source: Source, *, loss: Loss = "squared", samples: Samples = 256, sampling: Sampling = "balanced") -> Scores:
    """|w_j g_j|: by how much the mean loss changes, to first order, when each weight alone goes.

    g_j = ∂L/∂w_j is the gradient of the mean loss over the images, not that of each image. SNIP (Lee, Ajanthan, Torr
    2019, arXiv 1810.02340, equation 5), without its division by the sum of all scores, which changes no mask. It was
    made for networks before training; at a minimum of L every g_j is zero.
    """
    g = gradient(Task(source.backbone, source.head, source.draw(samples, sampling)), loss)
    return {name: (w * g[name]).abs() for name, w in source.weights().items()}
