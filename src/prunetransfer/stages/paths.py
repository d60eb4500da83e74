"""Where a study's files lie: one pattern a kind of file, its wildcards in braces, below `results/<study>`.

Weights and downloads, which studies share, lie in `resources`.
"""

from __future__ import annotations

from pathlib import Path

PREPARED = "images/{dataset}-{size}-{interpolation}-{crop}"  # a folder
IMAGES = PREPARED + "/{split}.safetensors"
HEAD = "heads/{backbone}/{dataset}.safetensors"
UNITS = "units/{backbone}.safetensors"
SCORE = "scores/{backbone}/{criterion}/seed{seed}.safetensors"
UNIT_SCORE = "scores/{backbone}/{criterion}/seed{seed}.units.safetensors"
MASK = "masks/{backbone}/{criterion}/seed{seed}/{mask}.safetensors"
# The weights that pruning in steps leaves with a mask: recovered after each step but the last.
STEPPED = "masks/{backbone}/{criterion}/seed{seed}/{mask}.weights.safetensors"
RECOVERED = "recovered/{recovery}/{backbone}/{criterion}/seed{seed}/{mask}.safetensors"
EVALUATION = "evaluations/{backbone}/{criterion}/{recovery}/{targets}/seed{seed}.parquet"
PREDICTIONS = "evaluations/{backbone}/{criterion}/{recovery}/{targets}/seed{seed}.predictions.parquet"
SPECTRUM = "spectra/{backbone}/{dataset}/seed{seed}.safetensors"
PERTURBATION = "perturbations/{backbone}/{targets}/seed{seed}.parquet"
LOSS_PATHS = "perturbations/{backbone}/{targets}/seed{seed}.paths.parquet"
EFFICIENCY = "efficiency/{backbone}/{criterion}/seed{seed}.parquet"
PRETRAINED = "pretrained/{backbone}.safetensors"
CARD = "pretrained/{backbone}.json"
TABLE = "tables/{table}.parquet"
FIGURE = "figures/{figure}.{suffix}"

WEIGHTS = "resources/weights/{backbone}-{settings}.safetensors"
WEIGHTS_BY_NAME = "resources/weights/{backbone}.safetensors"
DOWNLOAD = "resources/datasets/{kind}/{files}.json"


def job_name(pattern: str) -> str:
    """What the job is called whose first file lies at `pattern`: so are its log and its benchmark record."""
    return str(Path(pattern).with_suffix("")).removeprefix("resources/")
