"""The sections of a study's config that have keys of their own: the heads, safe sparsity, the landscape, efficiency.

For the generation of the schema (`config.schema`) alone, as `config.study`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from prunetransfer.config.tried import TriedBackbones, TriedMasks, TriedScores, TriedSparsities
from prunetransfer.settings.types import Auto, Chance, Count, Draws, Positive, Section, Seed, Several, says


class Head(Section):
    """The linear classifier fitted on the dense backbone's features of each dataset."""

    kind: Annotated[
        Literal["ridge", "logistic"],
        Field(
            description="`ridge`: squared loss on one-hot targets, in closed form; `logistic`: cross-entropy. Both "
            "class-balanced."
        ),
        says(allowed="one of ridge, logistic (own is the head of a dataset, `datasets.NAME.head`)"),
    ] = "ridge"
    alpha: Annotated[
        Positive | Auto,
        Field(
            description="Penalty α of Σ s ℓ + ½α‖ξ‖², ℓ being ½‖f − y‖² or cross-entropy and s balancing the classes; "
            "`auto` chooses it on held-out train images."
        ),
        says(allowed="auto or a number above 0"),
    ] = "auto"


class Safe(Section):
    """Safe sparsity: with probability at least 1 − δ over the calibration images at most α is lost."""

    alpha: Annotated[Chance, Field(description="α: accuracy that may be lost, as a fraction.")] = 0.05
    delta: Annotated[Chance, Field(description="δ: risk that the true loss is larger.")] = 0.1
    seed: Annotated[
        Seed,
        Field(description="Draws the half of the test images that chooses; the other half is reported on."),
    ] = 0


class Landscape(Section):
    """Where it is given, if only as `{}`, the loss of every source and target is studied around the dense weights, on
    some of its train images and through its dense head: its curvature, what masks do to it, how far tasks agree."""

    samples: Annotated[
        Count,
        Field(description="Train images of each task that its loss is averaged over, balanced by class."),
    ] = 128
    eigenvalues: Annotated[
        Count,
        Field(description="Largest eigenvalues of the generalised Gauss–Newton matrix, with their eigenvectors."),
    ] = 5
    draws: Annotated[
        Draws,
        Field(
            description="Labels drawn from the model an image, to estimate that matrix's diagonal; left out, it is "
            "exact, at one backward pass a class."
        ),
    ] = None
    hessian_eigenvalue: Annotated[
        bool,
        Field(
            description="Whether the Hessian's largest eigenvalue is computed too, which takes about as long as all "
            "the others."
        ),
    ] = False
    backbones: Annotated[
        TriedBackbones,
        Field(description="Backbones that are studied; all of the study's where it is left out."),
    ] = None
    scores: Annotated[
        TriedScores,
        Field(description="Scores whose masks are studied; all of the study's where it is left out."),
    ] = None
    sparsities: Annotated[
        TriedSparsities,
        Field(description="Sparsities of these masks; all of the study's where it is left out."),
    ] = None
    steps: Annotated[
        Count,
        Field(description="Steps from the dense to the pruned weights, at each of which the loss is measured."),
    ] = 5


class Efficiency(Section):
    """Where it is given, if only as `{}`, it is measured what the pruned networks take and how much time they save, on
    the machine that runs the study; each such job has that machine to itself."""

    backbones: Annotated[
        TriedBackbones,
        Field(description="Backbones that are measured; all of the study's where it is left out."),
    ] = None
    scores: Annotated[
        TriedScores,
        Field(description="Scores whose masks are measured; all of the study's where it is left out."),
    ] = None
    masks: Annotated[
        TriedMasks,
        Field(description="Masks that are measured, by their entries; all where it is left out."),
    ] = None
    batch_sizes: Annotated[
        Several[Count],
        Field(description="Images that the networks read at a time; each number is measured on its own."),
    ] = (1, 32)
    seconds: Annotated[
        Positive,
        Field(
            description="Time that a mask and a batch size are measured for, the dense and the pruned network in "
            "turns; at least five rounds."
        ),
    ] = 2.0
