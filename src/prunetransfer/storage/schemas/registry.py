"""Every table of a study by the name of its file."""

from __future__ import annotations

from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.schemas.costs import COSTS
from prunetransfer.storage.schemas.dense import DENSE
from prunetransfer.storage.schemas.efficiency import EFFICIENCY
from prunetransfer.storage.schemas.landscape import ALIGNMENT, LANDSCAPE, PATHS, PERTURBATIONS, SPECTRUM
from prunetransfer.storage.schemas.masks import CONVERGENCE, LAYER_SPARSITY, MASK_OVERLAP, PARAMETERS
from prunetransfer.storage.schemas.pretrainings import PRETRAINING_COMPARISONS, PRETRAININGS
from prunetransfer.storage.schemas.safe import PREDICTED_LOSS, PREDICTED_SAFE, SAFE_SPARSITY
from prunetransfer.storage.schemas.shift import SHIFT
from prunetransfer.storage.schemas.training import PRETRAINING, TRAINING
from prunetransfer.storage.schemas.verdicts import CHANGES, COMPARISONS, INTERVALS, RETENTION, VERDICTS

TABLES = {
    "accuracy": ACCURACY,
    "dense": DENSE,
    "parameters": PARAMETERS,
    "layer_sparsity": LAYER_SPARSITY,
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
    "shift": SHIFT,
    "predicted_loss": PREDICTED_LOSS,
    "predicted_safe": PREDICTED_SAFE,
    "costs": COSTS,
    "efficiency": EFFICIENCY,
    "landscape": LANDSCAPE,
    "spectrum": SPECTRUM,
    "alignment": ALIGNMENT,
    "perturbations": PERTURBATIONS,
    "paths": PATHS,
}
