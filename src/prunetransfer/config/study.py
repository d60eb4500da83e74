"""The keys of a study's config, but for the settings of what it calls by name (`settings.registry`).

For the generation of the schema (`config.schema`) alone: a plan and its jobs read what was generated. Keywords beside
those of `settings.types`: views (an entry that is a view of another is not, further on, a view of itself), joined (so
many names of that section fit into the name of a file), own_recipe (a backbone whose weights come from `pretrain` has a
recipe in that section), links (what an entry's name joins by + are entries too, other than `none`), pinned (the file of
a package has a digest), published (timm has weights of its own architectures alone), substitution (a regular expression
and its replacement).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from prunetransfer.settings.types import (
    END,
    WORD,
    Auto,
    BackboneName,
    Chance,
    Count,
    DatasetName,
    Draws,
    Name,
    Patterns,
    Positive,
    ScoreName,
    Section,
    Seed,
    Several,
    Sha256,
    ShareOfTheRest,
    StudySparsity,
    Text,
    says,
)

CHAIN = Annotated[
    str,
    Field(max_length=128),
    says(
        pattern=rf"^{WORD}(\+{WORD})*{END}",
        allowed="a name (letters, digits and - _ . after a letter, a digit or _), or names joined by +, of at most 128 "
        "characters together",
    ),
]
OF_MODEL = says(default_of_model=True)
TriedSparsities = Annotated[Several[StudySparsity], says(default_from="sparsities")]
TriedBackbones = Annotated[Several[BackboneName], says(default_from="backbones")]
TriedScores = Annotated[Several[ScoreName], says(default_from="scores")]
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
Substitution = Annotated[
    dict[str, str],
    Field(min_length=1, max_length=1),
    says(substitution=True, allowed="one regular expression and its replacement, as in {^layers\\.: blocks.}"),
]


class Weights(Section, json_schema_extra={"pinned": True}):
    """The checkpoint."""

    source: Annotated[
        Text,
        Field(
            description="`timm` (what timm publishes for the architecture and its tag), `torchvision:ENUM` (as in "
            "`torchvision:ResNet50_Weights.IMAGENET1K_V2`), an `https://` address, a file, `package:MODULE/FILE` (a "
            "file in the folder of an installed Python package), `package:FILE` (shipped with prunetransfer), "
            "`random` (as initialised), or `pretrain` (what this study's own recipe trains)."
        ),
        says(checkpoint=True),
    ]
    sha256: Annotated[
        Sha256,
        Field(
            description="Digest of the checkpoint, verified before it is used. `package:` and `https://` need one; a "
            "first try without it names that of the file. `timm` and `torchvision:` pin theirs by name. Of a file, "
            "left out, it is what the file has when the study starts: another file at its path is another network."
        ),
    ] = None
    entry: Annotated[
        Text | None,
        Field(
            description="The key of the checkpoint that holds the state dict, such as `state_dict`, `model`, "
            "`teacher`; where it lies deeper, the keys on the way to it, joined by slashes: `model/state_dict`."
        ),
        says(allowed="text that is not empty, or null"),
    ] = None
    prefix: Annotated[str, Field(description="Only the keys that start with it are kept, without it.")] = ""
    rename: Annotated[
        list[Substitution],
        Field(
            description="What makes the remaining keys those of the architecture: regular expressions, each with its "
            "replacement (as Python's `re.sub` reads them), each applied to what the ones before have left. One that "
            "changes no key is refused, and so are two keys that become one."
        ),
    ] = ()
    ignore: Annotated[
        Patterns,
        Field(
            description="Shell patterns of keys (renamed, without the prefix) that are left out; so is the classifier "
            "of timm's and torchvision's architectures."
        ),
    ] = ()
    missing: Annotated[
        Patterns,
        Field(
            description="Shell patterns of the backbone's keys that the checkpoint may lack; they stay as initialised."
        ),
    ] = ()
    seed: Annotated[Seed, Field(description="Seed of the initialisation, which `random` and `missing` keep.")] = 0


class Backbone(Section, json_schema_extra={"published": True}):
    """A pre-trained feature extractor that is pruned."""

    architecture: Annotated[
        Text,
        Field(description="A timm name, `torchvision:NAME`, `package.module:factory`, or `path/to/file.py:factory`."),
        says(network=True),
    ]
    options: Annotated[dict, Field(description="Keyword arguments of the architecture.")] = Field({})
    pretraining: Annotated[Text, Field(description="What it was pre-trained on; a label for the tables.")]
    weights: Weights
    size: Annotated[
        Count,
        Field(le=4096, description="Side in pixels of the square images that it reads."),
        OF_MODEL,
    ] = None
    mean: Annotated[
        list[Annotated[float, Field(ge=0, le=1)]],
        Field(
            min_length=3,
            max_length=3,
            description="Mean of red, green and blue that is subtracted from pixels in [0, 1].",
        ),
        OF_MODEL,
    ] = None
    std: Annotated[
        list[Annotated[float, Field(gt=0, le=1)]],
        Field(
            min_length=3,
            max_length=3,
            description="Standard deviation of red, green and blue that they are then divided by.",
        ),
        OF_MODEL,
    ] = None
    interpolation: Annotated[
        Literal["nearest", "bilinear", "bicubic", "lanczos"],
        Field(description="How images are resized to that size."),
        OF_MODEL,
    ] = None
    crop: Annotated[
        float,
        Field(
            ge=0.1,
            le=1,
            description="Share of the resized image's short side that the central square keeps: the short side becomes "
            "size / crop (other sides with another `crop_mode`).",
        ),
        OF_MODEL,
    ] = None
    crop_mode: Annotated[
        Literal["center", "squash", "border"],
        Field(
            description="How the square comes about: `center` cuts off what is left and right, or above and below; "
            "`squash` resizes both sides to size / crop, and so distorts the image; `border` resizes the long side to "
            "it, and fills up with the colour of `mean`. A network of one's own has `center`."
        ),
        OF_MODEL,
    ] = None
    exclude: Annotated[
        Patterns,
        Field(description="Shell patterns of weights that must not be pruned, by the names in table `parameters`."),
    ] = ()


class OwnHead(Section):
    """The classifier that the checkpoint was trained with, in place of the study's `head`, for a dataset whose classes
    it knows; that of a view is its base's, if it has none of its own. `linear_probe` is fitted as the study's `head`
    says all the same."""

    kind: Annotated[Literal["own"], Field(description="`own`; its loss is cross-entropy.")]
    classes: Annotated[
        Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2), says(uniqueItems=True)] | None,
        Field(
            description="Numbers of the checkpoint's classes from 0, in the order of the dataset's classes; left out, "
            "all in their own order."
        ),
        says(allowed="a list of at least two numbers of classes, none twice"),
    ] = None


class Dataset(BaseModel, json_schema_extra={"allowed": "a mapping with the dataset's kind, or with view_of"}):
    """A task."""

    kind: Annotated[
        str,
        Field(description="Where the images come from, a function of `prunetransfer.datasets.kinds` or of a plugin."),
        says(noun="kind", among="$datasets", allowed="the name of a kind, or view_of the name of a dataset"),
    ]
    head: OwnHead = None


class View(Section):
    """Some classes or some images of another dataset, of which only these are decoded."""

    view_of: Annotated[DatasetName, Field(description="The dataset, which may be a view itself.")]
    head: OwnHead = None
    seed: Annotated[Seed, Field(description="Seed of what is drawn.")] = 0


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


class Score(BaseModel):
    """A pruning score."""

    score: Annotated[
        str,
        Field(
            description="The function of `prunetransfer.pruning.scores` or of a plugin; where it is left out, the "
            "entry's own name."
        ),
        says(noun="score", among="$scores", allowed="the name of a score"),
    ] = None


class Tried(BaseModel):
    """Where a recovery is tried."""

    sparsities: Annotated[
        TriedSparsities,
        Field(description="Sparsities at which this recovery is tried; all of the study's where it is left out."),
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


class Recipe(Section):
    """A recipe's keys beside those of `pretraining.run.pretrain` and of its objective."""

    dataset: Annotated[DatasetName, Field(description="What it is trained on.")]
    seed: Annotated[
        Seed,
        Field(description="Seed of the first weights, the order of the images and their augmentation."),
    ] = 0


class Study(Section):
    """A study."""

    study: Annotated[Name, Field(description="Name of the study; its results lie in `results/<study>/`.")]
    seeds: Annotated[
        Several[Seed],
        Field(
            description="Every seed is one repetition of what is drawn at random, the images of a score and the order "
            "of fine-tuning."
        ),
    ] = (0,)
    data_root: Annotated[
        Text,
        Field(
            description="Folder that relative dataset paths start from; itself relative to where Snakemake runs. "
            "While it is not there, a study can only be planned."
        ),
    ] = "."
    extends: Annotated[
        Text,
        Field(
            description="Another study, whose keys this one has too; the path starts at this file's folder. Mappings "
            "are joined key by key, anything else is replaced, and `null` takes away what the other study has."
        ),
    ] = None
    plugins: Annotated[
        Several[Text],
        Field(
            min_length=0,
            description="Python files of one's own that register scores, recoveries, readouts or kinds of dataset "
            "(docs/adding.md); paths start where Snakemake runs.",
        ),
    ] = ()
    temporary: Annotated[
        list[Literal["images", "scores", "recovered"]],
        Field(
            description="Files that are removed once every job of the run that reads them is done. A finished study "
            "stays finished, but what is added to it makes them again, and all that was made from them: "
            "docs/cluster.md."
        ),
        says(uniqueItems=True),
    ] = ()
    threads: Annotated[Count, Field(description="CPU threads of a computing job.")] = 1
    gpu: Annotated[
        Literal["auto", True, False],
        Field(
            description="Whether computing jobs ask for a GPU: `auto`, where the machine has one; with `false` they "
            "see none."
        ),
    ] = "auto"
    jobs_per_gpu: Annotated[
        Count,
        Field(
            description="Computing jobs that share a GPU on a workstation. Start Snakemake with `--resources gpu=N`, N "
            "being devices × `jobs_per_gpu`."
        ),
    ] = 1
    backbones: Annotated[
        dict[Name, Backbone],
        Field(
            min_length=1,
            description="The pre-trained feature extractors that are pruned.",
        ),
        says(own_recipe="pretrain"),
    ]
    datasets: Annotated[
        dict[Name, Dataset],
        Field(
            min_length=1,
            description="The tasks; other keys choose among them by name.",
        ),
        says(views=True),
    ]
    sources: Annotated[
        Several[DatasetName],
        Field(description="Datasets that data-based scores are computed on and recoveries are tuned on."),
    ]
    targets: Annotated[
        Several[DatasetName],
        Field(description="Datasets that accuracy is measured on."),
    ]
    targets_per_job: Annotated[
        int,
        Field(
            ge=1,
            le=10,
            description="How many targets, in their order, one evaluation job reads: it saves the start of a process "
            "for each, some seconds on a CPU. A target added at the end reruns no other's evaluation, unless it joins "
            "a group that was not full.",
        ),
        says(joined="targets"),
    ] = 1
    head: Head = Field({})
    readouts: Annotated[
        Several[str],
        Field(
            description="How accuracy is read: `zero_shot`, the target's dense head, frozen; `linear_probe`, a head "
            "fitted anew on the pruned backbone's features; `knn`, the vote of the nearest train images; or a "
            "plugin's."
        ),
    ] = ("zero_shot",)
    neighbours: Annotated[Count, Field(description="Train images that vote in `knn`.")] = 20
    scores: Annotated[
        dict[Name, Score | None],
        Field(
            min_length=1,
            description="The pruning scores; an entry may be `{}` or left empty.",
        ),
    ]
    sparsities: Annotated[
        Several[GridSparsity],
        Field(description="Fractions of the prunable weights that are removed."),
    ]
    recoveries: Annotated[
        dict[CHAIN, Recovery | None],
        Field(
            description="What is done to the pruned backbone without changing its mask; an entry may be `{}` or left "
            "empty. Entries joined by `+` are done one after the other: `reconstruct+moments`."
        ),
        says(links=True, required=["none"]),
    ] = Field({"none": {}})
    tolerance: Annotated[
        Chance,
        Field(description="τ: a score passes P1 at a sparsity where retention is at least 1 − τ."),
    ] = 0.05
    confidence: Annotated[
        Chance,
        Field(
            description="Level of the two-sided intervals; what is left of 1 is the level of the tests after Holm's "
            "correction."
        ),
    ] = 0.95
    safe: Safe = Field({})
    landscape: Landscape = None
    pretrain: Annotated[
        dict[BackboneName, Any],
        Field(
            description="Recipes that train a backbone from scratch: backbone → recipe. The keys that only one "
            "objective takes stand below."
        ),
    ] = Field({})
