"""What the rules share: the validated config, where results lie, and which jobs a study has."""

import json
import os
import re
import sys
from decimal import Decimal
from functools import cache
from hashlib import sha256
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "src"))

from snakemake.utils import update_config

from prunetransfer.config import ConfigError, validate_config
from prunetransfer.config.extending import extended, family
from prunetransfer.config.groups import pretraining_groups, recovery_methods, several_pretrainings
from prunetransfer.config.pins import pin
from prunetransfer.config.plugins import needs
from prunetransfer.config.reading import from_command_line, refuse_duplicate_keys
from prunetransfer.datasets.downloads import DOWNLOADS, folder_of, origin
from prunetransfer.stages.code_digest import code_digest, git_revision, short_digest
from prunetransfer.stages.jobs import split_name
from prunetransfer.runtime.leases import JOBS_PER_GPU
from prunetransfer.config.memory import reading, recovering, scoring
from prunetransfer.storage.provenance import REVISION
from prunetransfer.config.validation import load_schema
from prunetransfer.settings.registry import module_of

SCHEMA = load_schema(ROOT / "workflow/schemas/config.schema.json")
# A job on a cluster reads this file anew; it goes on with the config that its run began with, whatever was edited since.
BEGAN_WITH = "PRUNETRANSFER_CONFIG"
if (workflow.remote_exec or workflow.subprocess_exec) and BEGAN_WITH in os.environ:
    config = json.loads(Path(os.environ[BEGAN_WITH]).read_text(encoding="utf-8"))
else:
    try:
        refuse_duplicate_keys([member for file in workflow.configfiles for member in family(file)])
        update_config(config, from_command_line(workflow.config_settings.config_args))
        config = validate_config(extended(config, workflow.configfiles), SCHEMA, root=Path.cwd())
        pin(config, root=Path.cwd())
    except ConfigError as error:
        sys.exit("config:\n  " + str(error).replace("\n", "\n  "))


onstart:
    text = json.dumps(config)
    began_with = Path(f".snakemake/configs/{sha256(text.encode()).hexdigest()[:16]}.json").resolve()
    began_with.parent.mkdir(exist_ok=True)
    began_with.write_text(text, encoding="utf-8")
    os.environ[BEGAN_WITH] = str(began_with)
    # With its own limit of 100 new jobs a second, Snakemake starts another timer for every job that ends, and no timer
    # ever stops: after 150 jobs they take a third of a core. A limit that somebody sets is kept.
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


# Jobs inherit these (docs/benchmarks.md). Threads that wait for each other without giving way cost 5 to 10 times the work
# where more of them run than there are cores; memory that is handed back after every batch, or in small pages, costs
# up to a third.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# One arena: what one thread of a recovery has freed, the next one uses.
MALLOC = {"arena_max": 1, "hugetlb": 1, "mmap_threshold": 2**30, "trim_threshold": 2**30}
os.environ.setdefault("GLIBC_TUNABLES", ":".join(f"glibc.malloc.{name}={value}" for name, value in MALLOC.items()))
# timm compiles functions at import in a way that PyTorch will drop: nothing that a reader of the terminal can do about.
os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning:torch.jit._script")
# Goes into every file's provenance. Not by `params`, where a commit would rerun every job.
if REVISION not in os.environ:
    os.environ[REVISION] = git_revision(ROOT) or ""
os.environ[JOBS_PER_GPU] = str(config["jobs_per_gpu"])
if config["gpu"] is False:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

# Section of the config → function → what it needs: whether a recovery reads labels, and so on.
NEEDS = needs(SCHEMA, config["plugins"])
WEIGHTS = Path("resources/weights")
RESULTS = Path("results") / config["study"]
RECOVERED = str(RESULTS / "recovered/{recovery}/{backbone}/{criterion}/seed{seed}/{sparsity}.safetensors")
LOGS = RESULTS / "logs"
COSTS = RESULTS / "costs"
# The targets that one evaluation job reads together, by their group's name: `digits+glyphs`.
TARGETS = {
    "+".join(group): group
    for start in range(0, len(config["targets"]), config["targets_per_job"])
    for group in [config["targets"][start : start + config["targets_per_job"]]]
}
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
    sparsity=r"0\.\d+",


def job(mem_mb, minutes):
    """Resources of a job; both grow with the attempt. mem_mb: a number, or a function of the wildcards."""
    needed = mem_mb if callable(mem_mb) else lambda wildcards: mem_mb
    return dict(
        mem_mb=lambda wildcards, attempt: needed(wildcards) * attempt,
        runtime=lambda wildcards, attempt: minutes * attempt,
    )


def computing_job(mem_mb, minutes):
    """Resources of a job that loads a backbone."""
    return job(mem_mb, minutes) | dict(gpu=int(GPU))


@cache
def code(script, *modules, score=None):
    return code_digest(ROOT / "workflow/scripts" / f"{script}.py", *modules, score=score)


def intermediate(kind, file):
    """An output that goes once all jobs that read it are done, where the study says so."""
    return temp(file) if kind in config["temporary"] else file


def decimal(number):
    """A float as it stands in file names, never 5e-05."""
    return format(Decimal(repr(number)), "f")


def plugin(section, name):
    """What a job must know of a function of the user's own: its file and the digest of its code."""
    return {key: place for key, place in NEEDS[section][name].items() if key == "plugin"}


def modules(section, name):
    """The module of a function, for the digest of a job's code; of a plugin's function that digest is a setting."""
    return [] if plugin(section, name) else [module_of(section, name)]


def score_function(score):
    return config["scores"][score]["score"]


def structure(score):
    """The structure of the curvature that a score reads; None: it reads no data."""
    return NEEDS["scores"][score_function(score)]["structure"]


def criteria():
    """Every score with every source that it is computed on; data-free scores alone."""
    for score in config["scores"]:
        if structure(score) is None:
            yield score
        else:
            yield from (f"{score}@{source}" for source in config["sources"])


def is_shared(criterion, recovery="none"):
    """Do all seeds share the files of the first, as nothing of them is drawn: those of a data-free mask, not recovered?"""
    return recovery == "none" and split_name(criterion)[1] is None


def seeds(criterion, recovery="none"):
    """The seeds that have files of their own."""
    return config["seeds"][:1] if is_shared(criterion, recovery) else config["seeds"]


def mask(backbone, criterion, seed, sparsity):
    """The mask that a seed prunes with."""
    seed = config["seeds"][0] if is_shared(criterion) else seed
    return RESULTS / f"masks/{backbone}/{criterion}/seed{seed}/{sparsity}.safetensors"


def recoveries(backbone, criterion):
    """Every recovery of a criterion: tuned on the criterion's own source, or on each where it is data-free."""
    score, source = split_name(criterion)
    for recovery, settings in config["recoveries"].items():
        if recovery == "none":
            yield recovery
        elif backbone in settings["backbones"] and score in settings["scores"]:
            yield from (f"{recovery}@{tuned_on}" for tuned_on in ([source] if source else config["sources"]))


def sparsities(recovery="none"):
    """The sparsities of a recovery as they stand in file names."""
    name, _ = split_name(recovery)
    grid = config["recoveries"][name].get("sparsities", config["sparsities"])
    return [decimal(sparsity) for sparsity in grid]


def images(dataset, backbone, split):
    """Backbones that want their images prepared alike share them."""
    wanted = config["backbones"][backbone]
    prepared = f"{wanted['size']}-{wanted['interpolation']}-{decimal(wanted['crop'])}"
    if wanted["crop_mode"] != "center":
        prepared += f"-{wanted['crop_mode']}"
    if wanted["crop_mode"] == "border":  # which has the colour of the mean
        prepared += "-" + "".join(f"{round(255 * level):02x}" for level in wanted["mean"])
    return RESULTS / f"images/{dataset}-{prepared}/{split}.safetensors"


def download_records(*datasets):
    """What the download stage leaves, beside the folder of files: one for each download that the datasets need."""
    origins = [origin(config["datasets"][dataset]) for dataset in datasets]
    return {f"{folder_of(files)}.json": files for files in origins if files}


def images_settings(wildcards):
    settings = config["datasets"][wildcards.dataset]
    return {key: value for key, value in settings.items() if key != "head"} | plugin("datasets", settings["kind"])


def head_settings(wildcards):
    """The dataset's own, or the study's."""
    return config["datasets"][wildcards.dataset].get("head", config["head"])


def head(dataset, backbone):
    return RESULTS / f"heads/{backbone}/{dataset}.safetensors"


def network(backbone):
    """What a job must know to build a backbone, and no more."""
    entry = config["backbones"][backbone]
    keys = ("architecture", "options", "mean", "std", "exclude", "code")
    return {key: entry[key] for key in keys if key in entry}


def architecture(wildcards):
    return network(wildcards.backbone)


def memory(estimate, *settings):
    """What a job asks for: an estimate of prunetransfer.config.memory by the job's settings and the size of its images."""

    def needed(wildcards):
        return estimate(*(of(wildcards) for of in settings), config["backbones"][wildcards.backbone]["size"])

    return needed


def own_pretraining(wildcards):
    """The checkpoint of this study's pretrain stage, for a backbone whose weights come from there."""
    if config["backbones"][wildcards.backbone]["weights"]["source"] != "pretrain":
        return []
    return RESULTS / f"pretrained/{wildcards.backbone}.safetensors"


def weights_settings(wildcards):
    return config["backbones"][wildcards.backbone]["weights"]


@cache
def weights_file(backbone):
    """The weights of a backbone, named by what they are made from: other studies have other networks of its name."""
    entry = config["backbones"][backbone]
    own = str(RESULTS) if entry["weights"]["source"] == "pretrain" else ""
    made_from = [network(backbone), entry["size"], entry["weights"], own]
    return WEIGHTS / f"{backbone}-{short_digest(made_from)}.safetensors"


def dense_weights(wildcards):
    return weights_file(wildcards.backbone)


def source_files(wildcards):
    """The head and the train images of the criterion's source; nothing for a data-free criterion."""
    _, source = split_name(wildcards.criterion)
    if source is None:
        return {}
    return {"head": head(source, wildcards.backbone), "train": images(source, wildcards.backbone, "train")}


def score_settings(wildcards):
    """The entry of a criterion's score; sparsities, which are mostly the study's, only where its damping is chosen by them."""
    settings = config["scores"][split_name(wildcards.criterion)[0]]
    unread = () if settings.get("damping") == "auto" else ("damping_sparsities",)
    return {key: value for key, value in settings.items() if key not in unread} | plugin("scores", settings["score"])


def score_digest(wildcards):
    score, _ = split_name(wildcards.criterion)
    function, reads = score_function(score), structure(score)
    curvature = [f"criteria.{reads}"] if reads else []
    return code("compute_score", *modules("scores", function), *curvature, score=function)


def links(recovery):
    """`reconstruct+moments@digits` → (`reconstruct@digits`, `moments`); `moments@digits` → (None, `moments`)."""
    name, source = split_name(recovery)
    earlier, _, last = name.rpartition("+")
    return f"{earlier}@{source}" if earlier else None, last


def recovery_settings(wildcards):
    """The entry of a chain's last link; where a recovery is tried is the study's affair."""
    _, last = links(wildcards.recovery)
    settings = config["recoveries"][last]
    tried = ("sparsities", "backbones", "scores")
    own = {key: value for key, value in settings.items() if key not in tried}
    return own | plugin("recoveries", own["recovery"])


def recovery_files(wildcards):
    """The source's train images; its head, where labels are read; what the links before the last have recovered."""
    _, source = split_name(wildcards.recovery)
    earlier, _ = links(wildcards.recovery)
    files = {"train": images(source, wildcards.backbone, "train")}
    if NEEDS["recoveries"][recovery_settings(wildcards)["recovery"]]["labels"]:
        files["head"] = head(source, wildcards.backbone)
    if earlier:
        files["earlier"] = RECOVERED.format(**dict(wildcards) | {"recovery": earlier})
    return files


def recovery_digest(wildcards):
    return code("recover", *modules("recoveries", recovery_settings(wildcards)["recovery"]))


def pruned_files(wildcards):
    """One file a sparsity: masks where nothing is recovered, recovered weights otherwise."""
    grid = sparsities(wildcards.recovery)
    if wildcards.recovery == "none":
        return [mask(wildcards.backbone, wildcards.criterion, wildcards.seed, sparsity) for sparsity in grid]
    return [RECOVERED.format(**wildcards, sparsity=sparsity) for sparsity in grid]


def pretraining_images(split):
    return lambda wildcards: images(config["pretrain"][wildcards.backbone]["dataset"], wildcards.backbone, split)


def score_files(scores):
    """The files of data-based scores: every backbone, source and seed."""
    return [
        RESULTS / f"scores/{backbone}/{score}@{source}/seed{seed}.safetensors"
        for backbone in config["backbones"]
        for score in scores
        for source in config["sources"]
        for seed in config["seeds"]
    ]


def same_but_samples(settings, other):
    """Do two entries of the config differ in how many images they see, and in nothing else?"""
    samples = settings.get("samples"), other.get("samples")
    return samples[0] != samples[1] and settings | {"samples": None} == other | {"samples": None}
