"""The types of settings that several functions share, for the keyword-only parameters that declare a setting.

A type says what is allowed, and its `Field` what that means; `json_schema_extra` holds the keywords of the config's
schema that JSON Schema lacks (`config.keywords`, `config.validation`):

- allowed: what is allowed, in words, where the words made from the other keywords would be less clear;
- among: the value is a name in that section of the config or, after a $, one of the functions of that section;
  noun: what such a name is the name of;
- folder, file: the value leads to one, from the folder that this key of the study names;
- checkpoint, network: the value leads to weights; it names an architecture;
- default_from: left out, the value is that of this key of the study; default_of_model: it is that of the model's own
  data config;
- left_out: the setting must be left out where others have certain values.

A default of None is none where the type does not allow null: the value has another source, or the setting is off.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field

T = TypeVar("T")

END = r"$(?!\n)"  # `$` alone lets a trailing line break pass
WORD = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"


def says(**keywords: Any) -> Any:
    """Keywords of the schema beside those that follow from the type."""
    return Field(json_schema_extra=keywords)


GIVEN = {"not": {"enum": [None]}}  # any value but null


def left_out(why: str, **where: Any) -> Any:
    """The setting must be left out where another, the one in `where`, has this value or is GIVEN; why: in words."""
    return says(left_out={"where": where, "why": why})


class Section(BaseModel, extra="forbid"):
    """A mapping of the config with these keys and no others."""


# Numbers.
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareOfSome = Annotated[float, Field(gt=0, le=1)]
ShareOfTheRest = Annotated[float, Field(ge=0, lt=1)]
Chance = Annotated[float, Field(gt=0, lt=1)]
PositiveOrNull = Annotated[Positive | None, says(allowed="a number above 0, or null")]

# Text.
Text = Annotated[str, Field(min_length=1), says(allowed="text that is not empty")]
Auto = Annotated[str, says(pattern=f"^auto{END}")]
Name = Annotated[
    str,
    says(
        pattern=f"^{WORD}{END}",
        allowed="text of at most 64 letters, digits and - _ . that starts with a letter, a digit or _",
    ),
]
Part = Annotated[
    Annotated[str, says(pattern=rf"^[A-Za-z0-9_][A-Za-z0-9._/-]{{0,63}}{END}")] | None,
    says(allowed="text of at most 64 letters, digits and - _ . /, or null"),
]
Sha256 = Annotated[
    Annotated[str, says(pattern=f"^[0-9a-f]{{64}}{END}")] | None,
    says(allowed="64 hexadecimal digits in lower case"),
]

# Lists.
Distinct = Annotated[list[T], says(uniqueItems=True)]
Several = Annotated[list[T], Field(min_length=1), says(uniqueItems=True)]
Patterns = Distinct[Text]
Files = Annotated[Text | Annotated[list[Text], Field(min_length=1)], says(allowed="a path or a list of at least one")]

# Names of what stands elsewhere in the config, or is registered.
DatasetName = Annotated[str, says(noun="dataset", among="datasets", allowed="the name of a dataset")]
BackboneName = Annotated[str, says(noun="backbone", among="backbones", allowed="the name of a backbone")]
ScoreName = Annotated[str, says(noun="score", among="scores", allowed="the name of a score")]
MaskName = Annotated[str, says(noun="mask", among="masks", allowed="the name of an entry of `masks`")]
StudySparsity = Annotated[float, says(noun="sparsity", among="sparsities", allowed="one of the study's sparsities")]

# What scores, recoveries and objectives share.
Loss = Annotated[
    Literal["squared", "cross_entropy"], Field(description="`squared` on one-hot targets, or `cross_entropy`.")
]
Samples = Annotated[Count, Field(description="Source train images that the curvature is computed on.")]
Unlabelled = Annotated[
    Count, Field(description="Source train images that it sees, drawn uniformly, without their labels.")
]
Positions = Annotated[
    Count,
    Field(
        description="Positions of an image (pixels of a layer's output, tokens), drawn at random, that a layer is "
        "fitted on at most."
    ),
]
Sampling = Annotated[
    Literal["balanced", "uniform"], Field(description="How they are drawn: `balanced` by class, or `uniform`.")
]
BlockSize = Annotated[Count, Field(description="Consecutive weights of a layer in one block, B.")]
MATRICES = (
    "`empirical`: gradients of the loss; `fisher`: with labels drawn from the model; `ggn`: generalised Gauss–Newton, "
    "exact over the classes or by draws"
)
Matrix = Annotated[Literal["empirical", "fisher", "ggn"], Field(description=f"{MATRICES}.")]
Draws = Annotated[Count | None, says(allowed="a whole number at least 1, or null")]
LabelDraws = Annotated[
    Draws,
    Field(description="Labels drawn an image. Left out: 1 for `fisher`, and `ggn` is exact."),
    left_out("as empirical curvature draws nothing", matrix="empirical"),
]
Relative = Annotated[
    Positive,
    Field(
        description="Damping λ, added to the curvature of every weight, as a multiple of the median F_jj of the "
        "backbone's weights that have any curvature."
    ),
]
RelativeUnlessGiven = Annotated[Relative, left_out("as `damping` says λ", damping=GIVEN)]
Damping = Annotated[PositiveOrNull, Field(description="λ as a number, in place of a multiple of the median curvature.")]
BlockMemory = Annotated[
    PositiveOrNull,
    Field(
        description="MB that block curvature may fill, as 4 · weights · B bytes; more takes further passes over the "
        "images and gives the same scores. `null` is half of what is free on the GPU, or a quarter on the CPU."
    ),
]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"],
    Field(
        description="Arithmetic of forward and backward passes; `auto` is `bfloat16` on a GPU and `float32` elsewhere."
    ),
]
Epochs = Annotated[Count, Field(description="Passes over the train images.")]
BatchSize = Annotated[Count, Field(description="Images a step.")]
WeightDecay = Annotated[NotNegative, Field(description="Decay of the convolution and linear weights.")]
ClipNorm = Annotated[
    PositiveOrNull,
    Field(description="Gradients are scaled down to this norm, all together, where theirs is larger."),
]
LabelSmoothing = Annotated[ShareOfTheRest, Field(description="Share of each target that is spread over all classes.")]
LeastView = Annotated[ShareOfSome, Field(description="The smallest share of an image's area that a view shows.")]
Optimizer = Literal["sgd", "adamw"]

# What several kinds of dataset share.
Draw = Annotated[Seed, Field(description="Seed of what this kind draws at random, its split or its images.")]
TrainPerClass = Annotated[Count, Field(description="Train images of each class.")]
TestPerClass = Annotated[Count, Field(description="Test images of each class.")]


class Most(Section):
    """The largest numbers of images of the splits, or of pixels."""

    train: Annotated[Count | None, Field(description="Of the train split.")] = None
    test: Annotated[Count | None, Field(description="Of the test split.")] = None


PerSplit = Annotated[Count | Most, says(allowed="a whole number at least 1, or that of each split as {train, test}")]


class Gathered(BaseModel):
    """How images that somebody has gathered are prepared."""

    allow_overlap: Annotated[
        bool,
        Field(
            description="Whether a dataset is taken of which some test images, once prepared, equal a train image in "
            "every pixel; otherwise they stop the study."
        ),
    ] = False


class Encoded(Gathered):
    """How encoded images, which may be damaged, are prepared."""

    skip_unreadable: Annotated[
        bool,
        Field(
            description="Whether images that cannot be read are left out and listed in the log and in the prepared "
            "file; otherwise the first of them stops the study. Every image is then read twice."
        ),
    ] = False
