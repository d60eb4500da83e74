"""The keys of a study's config, but for the settings of what it calls by name (`settings.registry`).

For the generation of the schema (`config.schema`) alone: a plan and its jobs read what was generated. Keywords beside
those of `settings.types`: made_from (no view and no mixture is made from itself), joined (so many names of that section
fit into the name of a file), own_recipe (a backbone whose weights come from `pretrain` has a recipe in that section),
links (what an entry's name joins by + are entries too, other than `none`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from prunetransfer.config.entries import Backbone, Dataset, DatasetKey, Score, Source
from prunetransfer.config.sections import Efficiency, Head, Landscape, Safe
from prunetransfer.config.tried import GridSparsity, Mask, Recovery
from prunetransfer.settings.types import (
    END,
    WORD,
    BackboneName,
    Chance,
    Count,
    DatasetName,
    Name,
    Section,
    Seed,
    Several,
    Text,
    says,
)
from prunetransfer.stages.jobs import STEPS

ChainName = Annotated[
    str,
    Field(max_length=128),
    says(
        pattern=rf"^(?!{STEPS}{END}){WORD}(\+{WORD})*{END}",
        allowed="a name (letters, digits and - _ . after a letter, a digit or _), or names joined by +, of at most 128 "
        f"characters together, and not {STEPS}, which tables call what masks made in steps come with",
    ),
]


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
        dict[DatasetKey, Dataset],
        Field(
            min_length=1,
            description="The tasks; other keys choose among them by name.",
        ),
        says(made_from=True),
    ]
    sources: Annotated[
        Several[Source],
        Field(
            description="Datasets that data-based scores are computed on and recoveries are tuned on. `A then B` "
            "prunes with A and on with B, and is called `A-then-B` in tables and files (docs/method.md)."
        ),
        says(allowed="a list of at least one, each the name of a dataset, or several joined by `then`, none twice"),
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
    masks: Annotated[
        dict[Name, Mask | None],
        Field(
            min_length=1,
            description="How weights are chosen by their scores, each entry a curve of its own in tables and figures; "
            "an entry may be `{}` or left empty. The masks of the entry `global` are called by their sparsity, `0.5`, "
            "those of others also by the entry, `erk-0.5`.",
        ),
    ] = Field({"global": {}})
    recoveries: Annotated[
        dict[ChainName, Recovery | None],
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
    efficiency: Efficiency = None
    pretrain: Annotated[
        dict[BackboneName, Any],
        Field(
            description="Recipes that train a backbone from scratch: backbone → recipe. The keys that only one "
            "objective takes stand below."
        ),
    ] = Field({})
