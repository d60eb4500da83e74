TABLES = {
    name: RESULTS / f"tables/{name}.parquet"
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

EVALUATIONS = [
    RESULTS / f"evaluations/{backbone}/{criterion}/{recovery}/{targets}/seed{seed}.parquet"
    for backbone in config["backbones"]
    for criterion in criteria()
    for recovery in recoveries(backbone, criterion)
    for targets in TARGETS
    for seed in seeds(criterion, recovery)
]
PREDICTIONS = [path.with_suffix(".predictions.parquet") for path in EVALUATIONS]
# The dense answers are the same in all jobs of a backbone and a group of targets: the first of them is read.
DENSE_ANSWERS = [
    next(path for path in PREDICTIONS if (path.parts[-5], path.parts[-2]) == (backbone, targets))
    for backbone in config["backbones"]
    for targets in TARGETS
]
PRETRAININGS = pretraining_groups(config["backbones"])
METHODS = recovery_methods(config["recoveries"])
MASKS = [
    mask(backbone, criterion, seed, sparsity)
    for backbone in config["backbones"]
    for criterion in criteria()
    for seed in seeds(criterion)
    for sparsity in sparsities()
]
ALL_SCORES = [
    RESULTS / f"scores/{backbone}/{criterion}/seed{seed}.safetensors"
    for backbone in config["backbones"]
    for criterion in criteria()
    for seed in seeds(criterion)
]

TRAINED = [
    RESULTS / f"recovered/{recovery}/{backbone}/{criterion}/seed{seed}/{sparsity}.safetensors"
    for backbone in config["backbones"]
    for criterion in criteria()
    for recovery in recoveries(backbone, criterion)
    if recovery != "none"
    if NEEDS["recoveries"][config["recoveries"][links(recovery)[1]]["recovery"]]["resumable"]
    for seed in config["seeds"]
    for sparsity in sparsities(recovery)
]
DAMPED = [score for score in config["scores"] if structure(score) == "block"]
SWEPT = [
    score
    for score, settings in config["scores"].items()
    if any(name != score and same_but_samples(settings, other) for name, other in config["scores"].items())
]


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
        **job(mem_mb=2000, minutes=10),
    script:
        "../scripts/dense.py"


rule aggregate:
    input:
        rows=EVALUATIONS,
        dense=TABLES["dense"],
    output:
        report(TABLES["accuracy"], caption="../report/accuracy.rst", category="Tables"),
    params:
        study=config["study"],
        seeds=config["seeds"],
        labels={
            name: {key: backbone[key] for key in ("architecture", "pretraining")}
            for name, backbone in config["backbones"].items()
        },
        methods=METHODS,
        code=code("aggregate"),
    log:
        LOGS / "aggregate.log",
    benchmark:
        COSTS / "aggregate.tsv"
    localrule: True
    resources:
        **job(mem_mb=2000, minutes=10),
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
        **job(mem_mb=2000, minutes=10),
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
        **job(mem_mb=2000, minutes=10),
    script:
        "../scripts/layer_sparsity.py"


rule damping:
    input:
        score_files(DAMPED),
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
        **job(mem_mb=2000, minutes=10),
    script:
        "../scripts/damping.py"


rule convergence:
    input:
        score_files(SWEPT),
    output:
        report(TABLES["convergence"], caption="../report/convergence.rst", category="Tables"),
    params:
        study=config["study"],
        sparsities=config["sparsities"],
        code=code("convergence"),
    log:
        LOGS / "convergence.log",
    benchmark:
        COSTS / "convergence.tsv"
    localrule: True
    resources:
        **job(mem_mb=4000, minutes=30),
    script:
        "../scripts/convergence.py"


rule training:
    input:
        TRAINED,
    output:
        report(TABLES["training"], caption="../report/training.rst", category="Tables"),
    params:
        study=config["study"],
        code=code("training"),
    log:
        LOGS / "training.log",
    benchmark:
        COSTS / "training.tsv"
    localrule: True
    resources:
        **job(mem_mb=2000, minutes=10),
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
        study=config["study"],
        seeds=config["seeds"],
        levels={key: config[key] for key in ("tolerance", "confidence")},
        tuned=[name for name, method in METHODS.items() if method == "finetune"],
        code=code("verdicts"),
    log:
        LOGS / "verdicts.log",
    benchmark:
        COSTS / "verdicts.tsv"
    localrule: True
    resources:
        **job(mem_mb=4000, minutes=30),
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
        study=config["study"],
        seeds=config["seeds"],
        labels=PRETRAININGS,
        confidence=config["confidence"],
        code=code("pretrainings"),
    log:
        LOGS / "pretrainings.log",
    benchmark:
        COSTS / "pretrainings.tsv"
    localrule: True
    resources:
        **job(mem_mb=4000, minutes=30),
    script:
        "../scripts/pretrainings.py"


rule safe_sparsity:
    input:
        predictions=PREDICTIONS,
        dense=TABLES["dense"],
    output:
        report(TABLES["safe_sparsity"], caption="../report/safe_sparsity.rst", category="Tables"),
    params:
        study=config["study"],
        seeds=config["seeds"],
        levels=config["safe"] | {"confidence": config["confidence"]},
        code=code("safe_sparsity"),
    log:
        LOGS / "safe_sparsity.log",
    benchmark:
        COSTS / "safe_sparsity.tsv"
    localrule: True
    resources:
        **job(mem_mb=4000, minutes=30),
    script:
        "../scripts/safe_sparsity.py"


rule mask_overlap:
    input:
        [path for path in MASKS if split_name(path.parts[-3])[1]],
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
        **job(mem_mb=4000, minutes=60),
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
        **job(mem_mb=4000, minutes=60),
    script:
        "../scripts/predicted_loss.py"
