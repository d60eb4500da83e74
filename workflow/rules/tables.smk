TABLES = {
    name: file(paths.TABLE, table=name)
    for name in (
        "accuracy",
        "parameters",
        "dense",
        "layer_sparsity",
        "damping",
        "convergence",
        "training",
        "verdicts",
        "retention",
        "intervals",
        "changes",
        "comparisons",
        "pretrainings",
        "pretraining_comparisons",
        "safe_sparsity",
        "mask_overlap",
        "predicted_loss",
        "predicted_safe",
        "costs",
    )
}

EVALUATED = [
    dict(backbone=backbone, criterion=criterion, recovery=recovery, targets=targets, seed=seed)
    for backbone in config["backbones"]
    for criterion in criteria()
    for recovery in recoveries(backbone, criterion)
    for targets in TARGETS
    for seed in seeds(criterion, recovery)
]
EVALUATIONS = [file(paths.EVALUATION, **job) for job in EVALUATED]
PREDICTIONS = [file(paths.PREDICTIONS, **job) for job in EVALUATED]
# The dense answers are the same in all jobs of a backbone and a group of targets: the first of them is read.
DENSE_ANSWERS = [
    next(
        file(paths.PREDICTIONS, **job) for job in EVALUATED if (job["backbone"], job["targets"]) == (backbone, targets)
    )
    for backbone in config["backbones"]
    for targets in TARGETS
]
SCORED = [
    dict(backbone=backbone, criterion=criterion, seed=seed)
    for backbone in config["backbones"]
    for criterion in criteria()
    for seed in seeds(criterion)
]
ALL_SCORES = [file(paths.SCORE, **job) for job in SCORED]
MASKED = [job | dict(mask=mask) for job in SCORED for mask in masks()]
MASKS = [file(paths.MASK, **job) for job in MASKED]
TRAINED = [
    file(paths.RECOVERED, recovery=recovery, backbone=backbone, criterion=criterion, seed=seed, mask=mask)
    for backbone in config["backbones"]
    for criterion in criteria()
    for recovery in recoveries(backbone, criterion)
    if recovery != "none"
    if NEEDS["recoveries"][config["recoveries"][Job.parse({"recovery": recovery}).link]["recovery"]]["resumable"]
    for seed in config["seeds"]
    for mask in masks(recovery)
]
PRETRAININGS = pretraining_groups(config["backbones"])
# What the statistics know of the study: which seeds there are, what each recovery does, which images a target shares.
OF_STUDY = dict(
    study=config["study"],
    seeds=config["seeds"],
    methods=METHODS,
    own_sources=own_sources(config["datasets"], config["sources"], config["targets"]),
)


def score_files(wanted):
    """The files of data-based scores. wanted: says of a score's name whether."""
    from_data = (job for job in SCORED if Job.parse(job).prune_source)
    return [file(paths.SCORE, **job) for job in from_data if wanted(Job.parse(job).score)]


def is_damped(score):
    return structure(score) == "block"


def is_swept(score):
    """Does the config have the same score with another number of images, and differing in nothing else?"""
    settings = config["scores"][score]
    others = [other for name, other in config["scores"].items() if name != score]
    return any(
        settings.get("samples") != other.get("samples") and settings | {"samples": None} == other | {"samples": None}
        for other in others
    )


rule dense:
    input:
        DENSE_ANSWERS,
    output:
        report(TABLES["dense"], caption="../report/dense.rst", category="Tables"),
    params:
        study=config["study"],
        confidence=config["confidence"],
        code=code("dense"),
    log:
        LOGS / "dense.log",
    benchmark:
        COSTS / "dense.tsv"
    localrule: True
    resources:
        **resources(mem_mb=2000, minutes=10),
    script:
        "../scripts/dense.py"


rule aggregate:
    input:
        rows=EVALUATIONS,
        dense=TABLES["dense"],
    output:
        report(TABLES["accuracy"], caption="../report/accuracy.rst", category="Tables"),
    params:
        of_study=OF_STUDY,
        labels={
            name: {key: backbone[key] for key in ("architecture", "pretraining")}
            for name, backbone in config["backbones"].items()
        },
        code=code("aggregate"),
    log:
        LOGS / "aggregate.log",
    benchmark:
        COSTS / "aggregate.tsv"
    localrule: True
    resources:
        **resources(mem_mb=2000, minutes=10),
    script:
        "../scripts/aggregate.py"


rule parameters:
    input:
        [weights_file(name) for name in config["backbones"]],
    output:
        report(TABLES["parameters"], caption="../report/parameters.rst", category="Tables"),
    params:
        study=config["study"],
        backbones=list(config["backbones"]),
        code=code("parameters"),
    log:
        LOGS / "parameters.log",
    benchmark:
        COSTS / "parameters.tsv"
    localrule: True
    resources:
        **resources(mem_mb=2000, minutes=10),
    script:
        "../scripts/parameters.py"


rule layer_sparsity:
    input:
        MASKS,
    output:
        report(TABLES["layer_sparsity"], caption="../report/layer_sparsity.rst", category="Tables"),
    params:
        study=config["study"],
        seeds=config["seeds"],
        code=code("layer_sparsity"),
    log:
        LOGS / "layer_sparsity.log",
    benchmark:
        COSTS / "layer_sparsity.tsv"
    localrule: True
    resources:
        **resources(mem_mb=2000, minutes=10),
    script:
        "../scripts/layer_sparsity.py"


rule damping:
    input:
        score_files(is_damped),
    output:
        report(TABLES["damping"], caption="../report/damping.rst", category="Tables"),
    params:
        study=config["study"],
        code=code("damping"),
    log:
        LOGS / "damping.log",
    benchmark:
        COSTS / "damping.tsv"
    localrule: True
    resources:
        **resources(mem_mb=2000, minutes=10),
    script:
        "../scripts/damping.py"


rule convergence:
    input:
        score_files(is_swept),
    output:
        report(TABLES["convergence"], caption="../report/convergence.rst", category="Tables"),
    params:
        study=config["study"],
        masks=[dict(pattern=PATTERN, sparsity=sparsity) for sparsity in config["sparsities"]],
        code=code("convergence"),
    log:
        LOGS / "convergence.log",
    benchmark:
        COSTS / "convergence.tsv"
    localrule: True
    resources:
        **resources(mem_mb=4000, minutes=30),
    script:
        "../scripts/convergence.py"


rule training:
    input:
        TRAINED,
    output:
        report(TABLES["training"], caption="../report/training.rst", category="Tables"),
    params:
        study=config["study"],
        methods=METHODS,
        code=code("training"),
    log:
        LOGS / "training.log",
    benchmark:
        COSTS / "training.tsv"
    localrule: True
    resources:
        **resources(mem_mb=2000, minutes=10),
    script:
        "../scripts/training.py"


rule verdicts:
    input:
        predictions=PREDICTIONS,
        dense=TABLES["dense"],
    output:
        verdicts=report(TABLES["verdicts"], caption="../report/verdicts.rst", category="Tables"),
        retention=report(TABLES["retention"], caption="../report/mean_retention.rst", category="Tables"),
        intervals=report(TABLES["intervals"], caption="../report/intervals.rst", category="Tables"),
        changes=report(TABLES["changes"], caption="../report/changes.rst", category="Tables"),
        comparisons=report(TABLES["comparisons"], caption="../report/comparisons.rst", category="Tables"),
    params:
        of_study=OF_STUDY,
        levels={key: config[key] for key in ("tolerance", "confidence")},
        code=code("verdicts"),
    log:
        LOGS / "verdicts.log",
    benchmark:
        COSTS / "verdicts.tsv"
    localrule: True
    resources:
        **resources(mem_mb=4000, minutes=30),
    script:
        "../scripts/verdicts.py"


rule pretrainings:
    input:
        predictions=PREDICTIONS,
        dense=TABLES["dense"],
    output:
        means=report(TABLES["pretrainings"], caption="../report/pretraining_means.rst", category="Tables"),
        pairs=report(
            TABLES["pretraining_comparisons"], caption="../report/pretraining_comparisons.rst", category="Tables"
        ),
    params:
        of_study=OF_STUDY,
        labels=PRETRAININGS,
        confidence=config["confidence"],
        code=code("pretrainings"),
    log:
        LOGS / "pretrainings.log",
    benchmark:
        COSTS / "pretrainings.tsv"
    localrule: True
    resources:
        **resources(mem_mb=4000, minutes=30),
    script:
        "../scripts/pretrainings.py"


rule safe_sparsity:
    input:
        predictions=PREDICTIONS,
        dense=TABLES["dense"],
    output:
        report(TABLES["safe_sparsity"], caption="../report/safe_sparsity.rst", category="Tables"),
    params:
        of_study=OF_STUDY,
        levels=config["safe"] | {"confidence": config["confidence"]},
        code=code("safe_sparsity"),
    log:
        LOGS / "safe_sparsity.log",
    benchmark:
        COSTS / "safe_sparsity.tsv"
    localrule: True
    resources:
        **resources(mem_mb=4000, minutes=30),
    script:
        "../scripts/safe_sparsity.py"


rule mask_overlap:
    input:
        [file(paths.MASK, **job) for job in MASKED if Job.parse(job).prune_source],
    output:
        report(TABLES["mask_overlap"], caption="../report/mask_overlap.rst", category="Tables"),
    params:
        study=config["study"],
        code=code("mask_overlap"),
    log:
        LOGS / "mask_overlap.log",
    benchmark:
        COSTS / "mask_overlap.tsv"
    localrule: True
    resources:
        **resources(mem_mb=4000, minutes=60),
    script:
        "../scripts/mask_overlap.py"


rule predicted_loss:
    input:
        scores=ALL_SCORES,
        masks=MASKS,
        accuracy=TABLES["accuracy"],
    output:
        losses=report(TABLES["predicted_loss"], caption="../report/predicted_loss.rst", category="Tables"),
        sparsities=report(TABLES["predicted_safe"], caption="../report/predicted_safe.rst", category="Tables"),
    params:
        seeds=config["seeds"],
        tolerance=config["tolerance"],
        code=code("predicted_loss"),
    log:
        LOGS / "predicted_loss.log",
    benchmark:
        COSTS / "predicted_loss.tsv"
    localrule: True
    resources:
        **resources(mem_mb=4000, minutes=60),
    script:
        "../scripts/predicted_loss.py"
