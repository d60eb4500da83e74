"""Masks and recoveries of a study's config, and where they are tried: which backbones, scores, masks and sparsities.

For the generation of the schema (`config.schema`) alone, as `config.study`. A keyword beside those of `settings.types`:
grid (a sparsity that some mask has).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from prunetransfer.settings.types import (
    BackboneName,
    MaskName,
    ScoreName,
    Section,
    Several,
    ShareOfTheRest,
    StudySparsity,
    says,
)

TriedSparsities = Annotated[Several[StudySparsity], says(default_from="sparsities")]
TriedBackbones = Annotated[Several[BackboneName], says(default_from="backbones")]
TriedScores = Annotated[Several[ScoreName], says(default_from="scores")]
TriedMasks = Annotated[Several[MaskName], says(default_from="masks")]
# Stands in file names, digit by digit.
GridSparsity = Annotated[
    ShareOfTheRest,
    says(
        **{
            "if": {"type": "number", "exclusiveMinimum": 0},
            "then": {"minimum": 1e-6, "allowed": "0, or at least 0.000001"},
        }
    ),
]
MaskSparsity = Annotated[float, says(grid=True, noun="sparsity", allowed="a sparsity of the study's masks")]


class Mask(BaseModel):
    """A way to choose which weights stay."""

    pattern: Annotated[
        str,
        Field(
            description="Which weights may go together: `unstructured`, each alone; `n:m` with two numbers, as `2:4`, "
            "at most n of every m side by side stay; `channels`, whole channels, hidden units and attention heads with "
            "all that depends on them; or a plugin's."
        ),
        says(noun="pattern", among="$masks", allowed="the name of a pattern"),
    ] = "unstructured"
    sparsities: Annotated[
        Several[GridSparsity],
        Field(
            description="Sparsities of these masks; the study's where they are left out. Those of a pattern n:m are "
            "1 − n/m, and must be left out."
        ),
        says(default_from="sparsities"),
    ] = None
    backbones: Annotated[
        TriedBackbones,
        Field(description="Backbones that have these masks; all of the study's where it is left out."),
    ] = None
    scores: Annotated[
        TriedScores,
        Field(
            description="Scores that have these masks; where it is left out, all of the study's that can. A score with "
            "`steps` needs a pattern that can be reached in steps, and one with `refine` an unstructured one."
        ),
    ] = None


class Tried(BaseModel):
    """Where a recovery is tried."""

    masks: Annotated[
        TriedMasks,
        Field(description="Masks that this recovery is tried on, by their entries; all where it is left out."),
    ] = None
    sparsities: Annotated[
        Several[MaskSparsity],
        Field(description="Sparsities at which this recovery is tried; all of those masks where it is left out."),
    ] = None
    backbones: Annotated[
        TriedBackbones,
        Field(description="Backbones that this recovery is tried on; all of the study's where it is left out."),
    ] = None
    scores: Annotated[
        TriedScores,
        Field(description="Scores whose masks it is tried on; all of the study's where it is left out."),
    ] = None


class Recovery(Tried):
    """What is done to the pruned backbone without changing its mask."""

    recovery: Annotated[
        str,
        Field(
            description="The function of `prunetransfer.recovery` or of a plugin; where it is left out, the entry's "
            "own name."
        ),
        says(noun="recovery", among="$recoveries", allowed="the name of a recovery"),
    ] = None


class Nothing(
    Section,
    json_schema_extra={"allowed": "an empty mapping (none: {}), as retention before any recovery is always measured"},
):
    """Nothing is done."""


class Chain(Tried, extra="forbid"):
    """Entries joined by `+`, each with its own settings."""
