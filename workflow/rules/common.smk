"""What several rule files use: the validated config, which jobs a study has, where their files lie, what jobs ask for."""

import re
import sys
from functools import cache
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "src"))

from snakemake.utils import update_config

from prunetransfer.config import ConfigError, validate_config
from prunetransfer.config.data_configs import border_of
from prunetransfer.config.extending import extended, family
from prunetransfer.config.groups import pretraining_groups, recovery_methods, several_pretrainings
from prunetransfer.config.labels import labelled, reads_labels
from prunetransfer.config.pins import pin
from prunetransfer.config.plugins import needs
from prunetransfer.config.reading import from_command_line, refuse_duplicate_keys
from prunetransfer.datasets.downloads import folder_of, origin
from prunetransfer.datasets.mixtures import without_parts
from prunetransfer.datasets.origins import own_sources
from prunetransfer.datasets.seen import same_train, shifts
from prunetransfer.stages.code_digest import code_digest, short_digest
from prunetransfer.config.memory import reading, recovering, scoring, timing
from prunetransfer.config.validation import load_schema
from prunetransfer.pruning.names import any_name, decimal, mask_name, read_name, registered_name
from prunetransfer.settings.registry import module_of
from prunetransfer.stages import paths
from prunetransfer.stages.environment import begin, prepare
from prunetransfer.stages.jobs import Job
from prunetransfer.stages.sequences import datasets_of, is_sequence

SCHEMA = load_schema(ROOT / "workflow/schemas/config.schema.json")


def validated():
    try:
        refuse_duplicate_keys([member for file in workflow.configfiles for member in family(file)])
        update_config(config, from_command_line(workflow.config_settings.config_args))
        checked = validate_config(extended(config, workflow.configfiles), SCHEMA, root=Path.cwd())
        pin(checked, root=Path.cwd())
    except ConfigError as error:
        sys.exit("config:\n  " + str(error).replace("\n", "\n  "))
    return checked


config = prepare(workflow, validated)


onstart:
    begin(workflow, config)


# Section of the config → function → what it needs: whether a recovery reads labels, and so on.
NEEDS = needs(SCHEMA, config["plugins"])
RESULTS = Path("results") / config["study"]
LOGS = RESULTS / "logs"
COSTS = RESULTS / "costs"
# The targets that one evaluation job reads together, by their group's name: `digits+glyphs`.
TARGETS = {
    "+".join(group): group
    for start in range(0, len(config["targets"]), config["targets_per_job"])
    for group in [config["targets"][start : start + config["targets_per_job"]]]
}
# The datasets of all sources, those of sequences one by one.
SOURCE_DATASETS = list(dict.fromkeys(dataset for source in config["sources"] for dataset in datasets_of(source)))
# Whose train images and head each dataset's are: a view that changes test images alone has those of its base.
SAME_TRAIN = same_train(config["datasets"], [*SOURCE_DATASETS, *config["targets"]], NEEDS["views"])
SHIFTS = shifts(config["datasets"], config["targets"], NEEDS["views"])
LABELLED = labelled(config["datasets"], NEEDS["datasets"])
# Keys of an entry that say where it is tried, which is the study's affair, and no setting of what it does.
TRIED = {"masks", "sparsities", "backbones", "scores"}
METHODS = recovery_methods(config["recoveries"])
GPU = bool(list(Path("/dev").glob("nvidia[0-9]*"))) if config["gpu"] == "auto" else config["gpu"]


wildcard_constraints:
    backbone=r"[^/@]+",
    dataset=r"[^/@]+",
    targets=r"[^/@]+",
    criterion=r"[^/]+",
    recovery=r"[^/]+",
    settings=r"[0-9a-f]{8}",
    size=r"\d+",
    interpolation=r"[a-z]+",
    crop=r"\d\.\d+(-squash|-border-[0-9a-f]{6})?",
    seed=r"\d+",
    mask=any_name(config["masks"]),


def file(pattern, **names):
    """A file of the study. pattern: one of prunetransfer.stages.paths."""
    return RESULTS / pattern.format(**names)


def table(name):
    return file(paths.TABLE, table=name)


def table_in_report(name):
    return report(table(name), caption=f"../report/tables/{name}.rst", category="Tables")


def log_of(pattern):
    return LOGS / f"{paths.job_name(pattern)}.log"


def costs_of(pattern):
    return COSTS / f"{paths.job_name(pattern)}.tsv"


def intermediate(kind, pattern):
    """An output that goes once all jobs that read it are done, where the study says so."""
    return temp(RESULTS / pattern) if kind in config["temporary"] else RESULTS / pattern


def resources(mem_mb, minutes):
    """What a job asks for; both grow with the attempt. mem_mb: a number, or a function of the wildcards."""
    needed = mem_mb if callable(mem_mb) else lambda wildcards: mem_mb
    return dict(
        mem_mb=lambda wildcards, attempt: needed(wildcards) * attempt,
        runtime=lambda wildcards, attempt: minutes * attempt,
    )


def computing_resources(mem_mb, minutes):
    """Those of a job that loads a backbone."""
    return resources(mem_mb, minutes) | dict(gpu=int(GPU))


def memory(estimate, *settings):
    """What a job asks for: an estimate of prunetransfer.config.memory by the job's settings and the size of its images."""

    def needed(wildcards):
        return estimate(*(of(wildcards) for of in settings), config["backbones"][wildcards.backbone]["size"])

    return needed


@cache
def code(script, *modules):
    return code_digest(ROOT / "workflow/scripts" / f"{script}.py", *modules)


def plugin(section, name):
    """What a job must know of a function of the user's own: its file and the digest of its code."""
    return {key: place for key, place in NEEDS[section][name].items() if key == "plugin"}


def modules(section, name):
    """The module of a function, for the digest of a job's code; of a plugin's function that digest is a setting."""
    return [] if plugin(section, name) else [module_of(section, name)]


def score_function(score):
    return config["scores"][score]["score"]


def any_of(names):
    """A regular expression of these names and nothing else."""
    return "|".join(map(re.escape, names)) or r"(?!)"


def seen_by(score):
    """What a score sees of its source, "images" or "labels"; None: nothing."""
    return NEEDS["scores"][score_function(score)]["sees"]


def steps(score):
    """How a score's masks are made in steps: `rounds` and `between`; None where each is made at once."""
    return config["scores"][score].get("steps")


IN_STEPS = [score for score in config["scores"] if steps(score)]


def beside(entry, source, backbone):
    """The train images that an entry of `scores` or `recoveries` sees beside those of the source."""
    return [images(dataset, backbone, "train") for dataset in entry.get("beside", ()) if dataset != source]


def may_see(source, *needs):
    """Whether scores or recoveries of these needs are given a source: without labels, only if none of them reads any."""
    return set(datasets_of(source)) <= set(LABELLED) or not any(map(reads_labels, needs))


def recovery_needs(recovery):
    """What each link of a recovery needs."""
    return [NEEDS["recoveries"][config["recoveries"][link]["recovery"]] for link in recovery.split("+")]


def criteria():
    """Every score with every source that it is computed on, or that steps are recovered with; other scores alone.

    Steps are recovered with one dataset, not with a sequence.
    """
    for score in config["scores"]:
        if seen_by(score) is None and not steps(score):
            yield score
        else:
            needs = NEEDS["scores"][score_function(score)]
            own = [source for source in config["sources"] if not (steps(score) and is_sequence(source))]
            yield from (f"{score}@{source}" for source in own if may_see(source, needs))


def scored(criterion):
    """The criteria whose scores the masks of one are made from, in order: for a sequence, those of its datasets."""
    job = Job.parse({"criterion": criterion})
    return [f"{job.score}@{dataset}" for dataset in datasets_of(job.prune_source)] if job.prune_source else [criterion]


def recoveries(backbone, criterion):
    """Every recovery of a criterion: tuned on the criterion's own source, or on each where it is data-free.

    After a sequence only its last dataset is at hand.
    """
    job = Job.parse({"criterion": criterion})
    sources = [job.prune_source] if job.prune_source else config["sources"]
    at_hand = dict.fromkeys(datasets_of(source)[-1] for source in sources)
    for recovery, settings in config["recoveries"].items():
        if recovery == "none":
            yield recovery
        elif backbone in settings["backbones"] and job.score in settings["scores"]:
            needs = recovery_needs(recovery)
            yield from (f"{recovery}@{dataset}" for dataset in at_hand if may_see(dataset, *needs))


def seeds(criterion, recovery="none"):
    """The seeds that have files of their own."""
    shared = Job.parse({"criterion": criterion, "recovery": recovery}).is_shared
    return config["seeds"][:1] if shared else config["seeds"]


def masks(backbone, criterion, recovery="none"):
    """What the masks of a criterion are called that a recovery is tried on; a sequence has those made in steps."""
    job = Job.parse({"criterion": criterion, "recovery": recovery})
    tried = config["recoveries"][job.recovery]
    return [
        mask_name(name, sparsity)
        for name, entry in config["masks"].items()
        if backbone in entry["backbones"] and job.score in entry["scores"] and name in tried.get("masks", [name])
        if NEEDS["masks"][registered_name(entry["pattern"])]["steps"] or not is_sequence(job.prune_source)
        for sparsity in entry["sparsities"]
        if sparsity in tried.get("sparsities", [sparsity])
    ]


def masks_of(job):
    """The masks of a job's wildcards."""
    return masks(job["backbone"], job["criterion"], job.get("recovery", "none"))


def pattern_settings(wildcards):
    """What makes a mask: the settings of its entry; where it is tried is the study's affair."""
    entry = config["masks"][read_name(wildcards.mask)["mask"]]
    return {key: entry[key] for key in entry if key not in TRIED} | plugin("masks", pattern_of(wildcards))


def pattern_of(wildcards):
    return registered_name(config["masks"][read_name(wildcards.mask)["mask"]]["pattern"])


def units_of(wildcards):
    """The units of the backbone, where the mask takes whole ones out."""
    return (
        {"units": file(paths.UNITS, backbone=wildcards.backbone)}
        if NEEDS["masks"][pattern_of(wildcards)]["units"]
        else {}
    )


def mask_file(backbone, criterion, seed, mask):
    """The mask that a seed prunes with."""
    own = int(seed) if int(seed) in seeds(criterion) else config["seeds"][0]
    return file(paths.MASK, backbone=backbone, criterion=criterion, seed=own, mask=mask)


def images(dataset, backbone, split):
    """Backbones that want their images prepared alike share them, and so do datasets with the same train images."""
    if split == "train":
        dataset = SAME_TRAIN[dataset]
    wanted = config["backbones"][backbone]
    crop = decimal(wanted["crop"])
    if wanted["crop_mode"] != "center":
        crop += f"-{wanted['crop_mode']}"
    if wanted["crop_mode"] == "border":
        crop += f"-{border_of(wanted['mean'])}"
    alike = {key: wanted[key] for key in ("size", "interpolation")}
    return file(paths.IMAGES, dataset=dataset, **alike, crop=crop, split=split)


def head(dataset, backbone):
    return file(paths.HEAD, dataset=SAME_TRAIN[dataset], backbone=backbone)


def download_records(*datasets):
    """What the download stage leaves, beside the folder of files: one for each download that the datasets need."""
    entries = [entry for dataset in datasets for entry in without_parts(config["datasets"][dataset])]
    origins = [origin(entry, NEEDS["datasets"][entry["kind"]]["downloaded_by"]) for entry in entries]
    return {f"{folder_of(files)}.json": files for files in origins if files}


def network(backbone):
    """What a job must know to build a backbone, and no more."""
    entry = config["backbones"][backbone]
    keys = ("architecture", "options", "mean", "std", "exclude", "code")
    return {key: entry[key] for key in keys if key in entry}


def architecture(wildcards):
    return network(wildcards.backbone)


@cache
def weights_file(backbone):
    """The weights of a backbone, named by what they are made from: other studies have other networks of its name."""
    entry = config["backbones"][backbone]
    own = str(RESULTS) if entry["weights"]["source"] == "pretrain" else ""
    made_from = [network(backbone), entry["size"], entry["weights"], own]
    return Path(paths.WEIGHTS.format(backbone=backbone, settings=short_digest(made_from)))


def dense_weights(wildcards):
    return weights_file(wildcards.backbone)
