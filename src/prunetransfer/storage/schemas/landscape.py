"""What the loss of each task is like around the dense weights."""

from __future__ import annotations

import pyarrow as pa

from prunetransfer.storage.schemas.columns import BACKBONE, OF_MASK, SEED, STUDY, key, value, without

TASK = key("task", pa.string(), "dataset whose loss it is, through its dense head")
ROLE = value("role", pa.string(), "`source` if the mask saw images of the task's dataset, else `transfer`")
OF_TASK = [STUDY, BACKBONE, TASK, SEED]
OF_PERTURBATION = [*OF_MASK, TASK, ROLE, SEED]
IMAGES = value("images", pa.int64(), "train images in the sample, m", "images")

LANDSCAPE = pa.schema(
    [
        *OF_TASK,
        IMAGES,
        value("weights", pa.int64(), "prunable weights, p", "weights"),
        value("loss", pa.float64(), "mean loss L(W) of the dense backbone on the sample"),
        value("gradient_norm", pa.float64(), "norm of its gradient g by the prunable weights"),
        value("ggn_trace", pa.float64(), "trace of the generalised Gauss–Newton matrix G"),
        value("relative_trace", pa.float64(), "Σ_j w_j² G_jj: the trace where each weight is measured by its size"),
        value("ggn_eigenvalue", pa.float64(), "largest eigenvalue of G"),
        value("hessian_eigenvalue", pa.float64(), "largest one of the Hessian H; null if not asked for", nullable=True),
    ]
)

SPECTRUM = pa.schema(
    [
        *OF_TASK,
        key("rank", pa.int64(), "place among the eigenvalues, from 1, the largest"),
        value("eigenvalue", pa.float64(), "eigenvalue of the generalised Gauss–Newton matrix"),
        value("trace_share", pa.float64(), "eigenvalue over the trace", "fraction"),
    ]
)

ALIGNMENT = pa.schema(
    [
        STUDY,
        BACKBONE,
        key("between", pa.string(), "`tasks`: two tasks, one seed; `draws`: one task, two seeds"),
        TASK,
        key("other_task", pa.string(), "the task that it is compared with"),
        SEED,
        key("other_seed", pa.int64(), "seed of the other one"),
        value("diagonal_cosine", pa.float64(), "cosine of the two diagonals of G"),
        value("diagonal_correlation", pa.float64(), "Spearman correlation of the two diagonals of G"),
        value("subspace_overlap", pa.float64(), "‖U₁ᵀU₂‖²_F / k, U the top k eigenvectors of G", "fraction"),
        value("chance_overlap", pa.float64(), "k / p: its mean for two subspaces drawn at random", "fraction"),
    ]
)

PERTURBATIONS = pa.schema(
    [
        *OF_PERTURBATION,
        IMAGES,
        value("distance", pa.float64(), "‖δ‖, δ = W⊙c − W"),
        value("dense_loss", pa.float64(), "mean loss L(W) of the dense backbone on the sample"),
        value("first_order", pa.float64(), "gᵀδ"),
        value("ggn_term", pa.float64(), "½ δᵀGδ"),
        value("hessian_term", pa.float64(), "½ δᵀHδ"),
        value("second_order", pa.float64(), "gᵀδ + ½ δᵀHδ: the second-order expansion of `measured`"),
        value("measured", pa.float64(), "L(W⊙c) − L(W) on the sample"),
        value("predicted", pa.float64(), "the score's own estimate, as in predicted_loss.parquet", nullable=True),
        value("measured_test", pa.float64(), "`measured` there, on test images; null if no target", nullable=True),
    ]
)

# What one job knows; the others are added where the rows of all jobs are joined.
ADDED = ("study", "role", "predicted", "measured_test")
PERTURBATION = pa.schema(without(PERTURBATIONS, *ADDED))

PATHS = pa.schema(
    [
        *OF_PERTURBATION,
        key("t", pa.float64(), "how far from W (0) to W⊙c (1)", "fraction"),
        value("loss", pa.float64(), "mean loss on the sample at W + tδ"),
    ]
)

PATH = pa.schema(without(PATHS, *ADDED))
