"""What any score must beat: random numbers."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from prunetransfer.criteria.source import Scores, Source
from prunetransfer.settings.registry import score
from prunetransfer.settings.types import Seed


@score(sees=None)
def random(
    source: Source,
    *,
    seed: Annotated[Seed, Field(description="Seed of the numbers; a study's own seeds do not change them.")] = 0,
) -> Scores:
    """Uniform numbers from [0, 1): each mask keeps weights drawn without regard to anything."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(w.shape, generator=generator, dtype=torch.float64).to(w)
        for name, w in source.weights().items()
    }
