"""Stages that look at a loss: every score, and the landscape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from gpu.cases import DRAWN, IMAGES, Case, Tensors, stage

from prunetransfer.criteria.source import Source
from prunetransfer.settings.registry import find

EMPIRICAL = {"matrix": "empirical", "draws": None}
DIAGONAL = {"loss": "squared", **EMPIRICAL, **DRAWN}
BLOCK = DIAGONAL | {"block_size": 8, "damping": 1e-2}
# Score → its settings and the tolerance; each curvature, loss and damping once.
SCORED: dict[str, tuple[str, dict[str, Any], float]] = {
    "magnitude": ("magnitude", {}, 1e-6),
    "diagonal": ("diagonal", DIAGONAL, 1e-4),
    "diagonal, cross_entropy": ("diagonal", DIAGONAL | {"loss": "cross_entropy"}, 1e-4),
    "diagonal, ggn": ("diagonal", DIAGONAL | {"matrix": "ggn"}, 1e-4),
    "diagonal, fisher": ("diagonal", DIAGONAL | {"matrix": "fisher", "draws": 2}, 1e-4),
    "diagonal, fisher of cross_entropy": (
        "diagonal",
        DIAGONAL | {"matrix": "fisher", "draws": 2, "loss": "cross_entropy"},
        1e-4,
    ),
    "damped": ("damped", DIAGONAL | {"relative": 0.1}, 1e-4),
    "features": ("features", {"samples": IMAGES - 6, "draws": 2}, 1e-4),
    "features, whitened": ("features", {"samples": IMAGES - 6, "whiten": True}, 1e-2),
    "block": ("block", BLOCK, 1e-4),
    "block, more images than weights": ("block", BLOCK | {"block_size": 64}, 1e-4),
    # Little damping: float32 and float64 on one CPU differ by 1e-3 of some layers, as the inverse magnifies rounding.
    "block, relative damping": ("block", BLOCK | {"damping": None, "relative": 1e-2}, 1e-2),
    "correlated": ("correlated", BLOCK, 1e-2),
    "kfac": ("kfac", DIAGONAL | {"relative": 0.1}, 1e-2),
    "kfac, corrected": ("kfac", DIAGONAL | {"relative": 0.1, "corrected": True}, 1e-2),
    "random": ("random", {}, 1e-6),
    "snip": ("snip", {"loss": "cross_entropy", **DRAWN}, 1e-4),
    "grasp": ("grasp", {"loss": "squared", **DRAWN}, 1e-4),
    # Places in an order, in which weights that are nearly alike may swap theirs.
    "synflow": ("synflow", {"rounds": 3}, 1e-2),
    "wanda": ("wanda", {"samples": IMAGES - 6}, 1e-2),
    "sparsegpt": ("sparsegpt", {"sparsity": 0.5, "samples": IMAGES - 6, "positions": 1000}, 1e-2),
}


def register_score(name: str, score: str, settings: Mapping[str, Any], tolerance: float) -> None:
    @stage(f"score {name}", tolerance)
    def compute(case: Case) -> Tensors:
        registered = find("scores", score)
        sees = registered.needs["sees"]
        head, train = case.head() if sees == "labels" else None, case.images() if sees else None
        source = Source(case.dense(), head, train, 0, (3, *case.images().images.shape[1:3]))
        scores = registered.function(source, **settings)
        if "damping" in source.record:
            scores["damping"] = torch.tensor(source.record["damping"], device=case.place.device)
        return scores


for _name, _scored in SCORED.items():
    register_score(_name, *_scored)


@stage("landscape", 1e-2, kinds=("conv", "vit"), needs="curvlinops")
def landscape(case: Case) -> Tensors:
    """Spectrum, predicted and measured change of the loss; eigenvalues are found to within 1%."""
    from prunetransfer.curvature.task import Task
    from prunetransfer.landscape import spectrum
    from prunetransfer.landscape.perturbation import Surroundings

    task = Task(case.dense(), case.head(), case.images())
    arrays, record = spectrum.compute(task, 0, eigenvalues=2, draws=None, hessian_eigenvalue=True)
    surroundings = Surroundings(task)
    numbers = record | surroundings.predict(case.mask()) | surroundings.path(case.mask(), 2)
    assert isinstance(arrays["eigenvectors"], type(arrays["diagonal"]))
    kept = {key: torch.from_numpy(arrays[key].copy()) for key in ("eigenvalues", "diagonal")}
    kept |= {str(key): torch.tensor(value) for key, value in numbers.items()}
    return {key: tensor.to(case.place.device) for key, tensor in kept.items()}
