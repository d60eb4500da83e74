"""What stands under a name of the user's in a study's config: a backbone, a dataset, a score, a recipe.

For the generation of the schema (`config.schema`) alone, as `config.study`. Keywords beside those of `settings.types`:
sequence (the value is the name of a dataset in that section of the config, or several joined by `then`),
between (a recovery that reads no labels), refinable (the last mask is refined only where that is a reconstruct), pinned
(the file of a package has a digest), published (timm has weights of its own architectures alone), substitution (a
regular expression and its replacement).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from prunetransfer.settings.types import (
    END,
    WORD,
    Count,
    DatasetName,
    Patterns,
    Section,
    Seed,
    Several,
    Sha256,
    Text,
    says,
)
from prunetransfer.stages.sequences import JOINT

DatasetKey = Annotated[
    str,
    says(
        pattern=f"^(?!.*{JOINT}){WORD}{END}",
        allowed="text of at most 64 letters, digits and - _ . that starts with a letter, a digit or _, without "
        f"{JOINT}, which joins the datasets of a sequence",
    ),
]
Source = Annotated[str, says(sequence="datasets", allowed="the name of a dataset, or several joined by `then`")]
OF_MODEL = says(default_of_model=True)
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


class Dataset(
    BaseModel, json_schema_extra={"allowed": "a mapping with the dataset's kind, or with view_of or mixture_of"}
):
    """A task."""

    kind: Annotated[
        str,
        Field(description="Where the images come from, a function of `prunetransfer.datasets.kinds` or of a plugin."),
        says(
            noun="kind",
            among="$datasets",
            allowed="the name of a kind; or view_of, the name of a dataset, or mixture_of, a list of names",
        ),
    ]
    head: OwnHead = None


class View(Section):
    """Some classes or some images of another dataset, of which only these are decoded."""

    view_of: Annotated[DatasetName, Field(description="The dataset, which may be a view itself.")]
    head: OwnHead = None
    seed: Annotated[Seed, Field(description="Seed of what is drawn.")] = 0


class Mixture(Section):
    """The images of several datasets as one, with the classes of all: class `3` of `digits` is `digits: 3`. It has no
    labels where one of them has none."""

    mixture_of: Annotated[
        Annotated[list[DatasetName], Field(min_length=2), says(uniqueItems=True)],
        Field(description="The datasets, in the order that their images and classes get; views and mixtures too."),
        says(allowed="a list of at least two, each the name of a dataset, none twice"),
    ]
    head: OwnHead = None


class Score(BaseModel):
    """A pruning score."""

    score: Annotated[
        str,
        Field(
            description="The function of `prunetransfer.criteria` or of a plugin; where it is left out, the entry's "
            "own name."
        ),
        says(noun="score", among="$scores", allowed="the name of a score"),
    ] = None


class Unlabelled(BaseModel):
    """What a score or a recovery that reads no labels may be given."""

    beside: Annotated[
        Several[DatasetName],
        Field(
            min_length=0,
            description="Datasets whose train images it sees beside those of the source, `samples` of each; none of "
            "them may share images with a target.",
        ),
    ] = ()


class Steps(Section, json_schema_extra={"refinable": True}):
    """Pruning in steps."""

    rounds: Annotated[
        Count,
        Field(description="n; after step k of n the sparsity is 1 − (1 − q)^(k/n), q the final one."),
    ]
    between: Annotated[
        str,
        Field(
            description="The entry of `recoveries` that recovers the backbone after each step but the last; one that "
            "reads no labels."
        ),
        says(between=True, allowed="the name of a recovery that reads no labels"),
    ]
    refine: Annotated[
        bool,
        Field(
            description="Whether the last mask is then chosen anew in each layer, by ADMM on what the layer reads, and "
            "its weights solved, with the settings of `between`, which must be a `reconstruct`."
        ),
    ] = False


class Quadratic(BaseModel):
    """What a score that is w_j² times something which does not depend on w may be given."""

    steps: Annotated[
        Steps,
        Field(
            description="Where it is given, each sparsity is reached in steps. A step ranks the weights as they have "
            "been recovered by then, with the curvature of the dense backbone."
        ),
    ] = None


class Recipe(Section):
    """A recipe's keys beside those of `training.pretraining.pretrain` and of its objective."""

    dataset: Annotated[DatasetName, Field(description="What it is trained on.")]
    seed: Annotated[
        Seed,
        Field(description="Seed of the first weights, the order of the images and their augmentation."),
    ] = 0
