"""Every table of a study by the name of its file."""

from __future__ import annotations

from prunetransfer.schemas.accuracy import ACCURACY
from prunetransfer.schemas.costs import COSTS
from prunetransfer.schemas.dense import DENSE
from prunetransfer.schemas.landscape import ALIGNMENT, LANDSCAPE, PATHS, PERTURBATIONS, SPECTRUM
from prunetransfer.schemas.masks import CONVERGENCE, DAMPING, LAYER_SPARSITY, MASK_OVERLAP, PARAMETERS
from prunetransfer.schemas.pretrainings import PRETRAINING_COMPARISONS, PRETRAININGS
from prunetransfer.schemas.safe import PREDICTED_LOSS, PREDICTED_SAFE, SAFE_SPARSITY
from prunetransfer.schemas.training import PRETRAINING, TRAINING
from prunetransfer.schemas.verdicts import CHANGES, COMPARISONS, INTERVALS, RETENTION, VERDICTS

TABLES = {
    "accuracy": ACCURACY,
    "dense": DENSE,
    "parameters": PARAMETERS,
    "layer_sparsity": LAYER_SPARSITY,
    "damping": DAMPING,
    "convergence": CONVERGENCE,
    "mask_overlap": MASK_OVERLAP,
    "training": TRAINING,
    "pretraining": PRETRAINING,
    "verdicts": VERDICTS,
    "retention": RETENTION,
    "intervals": INTERVALS,
    "changes": CHANGES,
    "comparisons": COMPARISONS,
    "pretrainings": PRETRAININGS,
    "pretraining_comparisons": PRETRAINING_COMPARISONS,
    "safe_sparsity": SAFE_SPARSITY,
    "predicted_loss": PREDICTED_LOSS,
    "predicted_safe": PREDICTED_SAFE,
    "costs": COSTS,
    "landscape": LANDSCAPE,
    "spectrum": SPECTRUM,
    "alignment": ALIGNMENT,
    "perturbations": PERTURBATIONS,
    "paths": PATHS,
}
