"""Does the data behind a score matter? Overlap of masks between sources, beside that between draws of one source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import combinations, groupby

import numpy as np

from prunetransfer.pruning.masks import Mask

Job = Mapping[str, object]


def kept_overlap(mask: Mask, other: Mask) -> float:
    """Share of the weights kept by `mask` that `other` keeps too: 1 minus the sparsity by chance.

    Raises ValueError unless both cover the same weights.
    """
    if {name: keep.shape for name, keep in mask.items()} != {name: keep.shape for name, keep in other.items()}:
        raise ValueError("masks of different weights cannot be compared")
    kept = sum(np.count_nonzero(keep) for keep in mask.values())
    return sum(np.count_nonzero(keep & other[name]) for name, keep in mask.items()) / kept


def mask_overlaps(jobs: Iterable[Job], read: Callable[[Job], Mask]) -> list[dict[str, object]]:
    """Rows of MASK_OVERLAP without the study: between sources at one seed, and between seeds at one source.

    jobs: one a mask, with backbone, score, prune_source, seed, mask and sparsity; read: its mask. Only the masks of
    one backbone, score, mask and sparsity are in memory at a time.
    """
    rows = []
    for (backbone, score, mask, sparsity), group in groupby(sorted(jobs, key=_group), key=_group):
        masks = [(job["prune_source"], job["seed"], read(job)) for job in group]
        for first, second in combinations(sorted(masks, key=lambda entry: entry[:2]), 2):
            if (first[0] == second[0]) == (first[1] == second[1]):
                continue
            rows.append(
                {
                    **{"backbone": backbone, "score": score, "mask": mask, "sparsity": sparsity},
                    "between": "draws" if first[0] == second[0] else "sources",
                    **{"prune_source": first[0], "seed": first[1]},
                    **{"other_source": second[0], "other_seed": second[1]},
                    "overlap": kept_overlap(first[2], second[2]),
                }
            )
    return rows


def _group(job: Job) -> tuple:
    return job["backbone"], job["score"], job["mask"], job["sparsity"]
