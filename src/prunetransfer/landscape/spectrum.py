"""The curvature of a task's loss at the dense weights: gradient, top eigenpairs, diagonal and trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import eigsh
from torch import Tensor

from prunetransfer.criteria.diagonal import mean_squares
from prunetransfer.curvature.grad_outputs import grad_outputs
from prunetransfer.curvature.gradients import layer_gradients
from prunetransfer.curvature.operators import Operator, differentiable, flat, ggn, hessian
from prunetransfer.curvature.task import Task
from prunetransfer.heads import LOSS_OF_KIND

TOLERANCE = 1e-2  # relative; on the embedded backbones the error was below 1e-4


def compute(
    task: Task, seed: int, *, eigenvalues: int, draws: int | None, hessian_eigenvalue: bool
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Eigenvalues, eigenvectors and diagonal of the Gauss–Newton matrix G, and a record of single numbers.

    The record: the loss, the norm of its gradient, tr G, the relative trace Σ_j w_j² G_jj, and the Hessian's largest
    eigenvalue where it is asked for, else None. tr G is the sum of the diagonal, exact if that is.
    """
    matrix = ggn(task)
    gradient, loss = matrix.gradient_and_loss()
    values, vectors = top_eigenpairs(matrix, eigenvalues, seed)
    diagonal = ggn_diagonal(task, draws, seed)
    record = {
        "loss": loss.item(),
        "gradient_norm": flat(gradient).norm().item(),
        "ggn_trace": diagonal.sum(dtype=torch.float64).item(),
        "relative_trace": (flat(task.weights().values()).square() * diagonal).sum(dtype=torch.float64).item(),
        "hessian_eigenvalue": top_eigenpairs(hessian(task), 1, seed)[0].item() if hessian_eigenvalue else None,
    }
    return {"eigenvalues": values, "eigenvectors": vectors, "diagonal": diagonal.cpu().numpy()}, record


def top_eigenpairs(matrix: Operator, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues, descending [count], and their unit eigenvectors [count, p], by Lanczos' method.

    ARPACK's implicitly restarted one (Lehoucq, Sorensen, Yang 1998), started from a random vector of `seed`; it holds
    2 · count + 1 vectors at least. Raises ValueError if there are too few weights for that.
    """
    size = matrix.shape[0]
    held = max(2 * count + 1, 4)
    if size <= held:
        raise ValueError(f"{count} eigenvalues of {size} weights: at least {held + 1} weights are needed")
    start = np.random.default_rng(seed).standard_normal(size)
    with differentiable():
        values, vectors = eigsh(matrix.to_scipy(), k=count, which="LA", v0=start, ncv=held, tol=TOLERANCE)
    return values[::-1], vectors.T[::-1].astype(np.float32)  # as the products are; a study keeps them all


def ggn_diagonal(task: Task, draws: int | None, seed: int) -> Tensor:
    """G_jj [p]: exact, one backward pass a class; or estimated from `draws` labels of the model an image."""
    loss = LOSS_OF_KIND[task.head.kind]
    sample = task.sample
    vectors = grad_outputs("ggn", loss, draws, seed)
    gradients = layer_gradients(task.backbone, task.head, sample.images, sample.labels, vectors)
    squares = mean_squares(gradients, task.images)
    return flat(squares[name] for name in task.backbone.prunable())
