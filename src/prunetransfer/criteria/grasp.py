"""How much of the gradient's norm goes with each weight."""

from __future__ import annotations

from prunetransfer.criteria.source import Scores, Source
from prunetransfer.curvature.mean_loss import gradient, hessian_product
from prunetransfer.curvature.operators import differentiable
from prunetransfer.curvature.task import Task
from prunetransfer.settings.registry import score
from prunetransfer.settings.types import Loss, Samples, Sampling


@score(sees="labels")
def grasp(source: Source, *, loss: Loss = "squared", samples: Samples = 256, sampling: Sampling = "balanced") -> Scores:
    """w_j (Hg)_j minus its minimum over all weights: by how much the gradient's norm falls when each weight alone goes.

    g = ∇L and H = ∇²L are those of the mean loss over the images. To first order ‖∇L‖² grows by −2 w_j (Hg)_j when w_j
    goes. Weights whose removal lets it grow most go first, and those whose removal lets it fall most are kept: GraSP
    (Wang, Zhang, Grosse 2020, arXiv 2002.07376, equation 8, where S = −w_j (Hg)_j and the largest S go first). The
    minimum is taken away as scores must not be negative, in float64, and float64 is what is returned: next to a large
    minimum float32 would make most scores equal. The paper divides the outputs by a temperature of 200, which keeps a
    random network's softmax from being certain; these heads were fitted, so their outputs stay as they are.
    """
    task = Task(source.backbone, source.head, source.draw(samples, sampling))
    with differentiable():
        products = hessian_product(task, loss, gradient(task, loss))
    importance = {name: w.double() * products[name].double() for name, w in source.weights().items()}
    least = min(values.min() for values in importance.values())
    return {name: values - least for name, values in importance.items()}
